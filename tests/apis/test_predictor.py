"""A predictor shared by threads, with long lists, and with other backends."""
import io
import itertools
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from mmconvmixer import Predictor, get_model, inference_model
from mmconvmixer.errors import BadConfig, BadImage, MissingPackage, OutOfResources, UnknownOption
from mmconvmixer.zoo.config import load_config

NAME = 'convmixer-64-4_digits'


@pytest.fixture(scope='module')
def predictor():
    return Predictor(NAME)


@pytest.fixture(scope='module')
def digits():
    from sklearn.datasets import load_digits
    return [(16 * image).clip(0, 255).astype(np.uint8) for image in load_digits().images[-40:]]


@pytest.fixture
def said(monkeypatch):
    """The logged lines about the precision, each with its level."""
    lines = []
    for module in ('deploy.backends.build', '_support.processor'):
        monkeypatch.setattr(f'mmconvmixer.{module}.print_log',
                            lambda line, logger=None, level=logging.INFO: lines.append(
                                (line, level)))
    return lines


def test_threads_get_the_answers_that_a_single_one_gets(predictor, digits):
    expected = [predictor(digit) for digit in digits]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(predictor, digits * 4))
    for answer, one in zip(found, expected * 4, strict=True):
        assert answer['pred_label'] == one['pred_label']
        np.testing.assert_allclose(answer['pred_scores'], one['pred_scores'], atol=1e-6)


def test_a_stream_answers_in_order_and_takes_no_more_than_it_needs(predictor, digits):
    taken = itertools.count()
    endless = (digit for digit in itertools.cycle(digits) if next(taken) >= 0)
    answers = list(itertools.islice(predictor.stream(endless, batch_size=4), 100))
    assert next(taken) < 100 + 4 * 4 + 8
    expected = [predictor(digit)['pred_label'] for digit in digits]
    assert [answer['pred_label'] for answer in answers] == list(
        itertools.islice(itertools.cycle(expected), 100))


def test_a_stream_takes_what_has_no_length_in_spite_of_its_method(predictor, digits):
    class Unmeasured:
        def __iter__(self):
            return iter(digits[:2])

        def __len__(self):
            raise TypeError('the number of images is not known')

    assert [answer['pred_label'] for answer in predictor.stream(Unmeasured())] == [
        predictor(digit)['pred_label'] for digit in digits[:2]]


def test_a_stream_takes_an_array_of_several_images(predictor, digits):
    expected = [predictor(digit)['pred_label'] for digit in digits[:2]]
    for array in (np.stack(digits[:2]), np.stack(digits[:2])[..., None]):
        assert [answer['pred_label'] for answer in predictor.stream(array)] == expected
    with pytest.raises(BadImage, match=r'list\(array\)'):  # a call takes lists alone
        predictor(array)


def test_a_bad_image_in_a_stream_gets_an_error_in_its_place(predictor, digits):
    answers = list(predictor.stream([digits[0], b'no image', digits[1]]))
    assert ['error' in answer for answer in answers] == [False, True, False]
    assert list(predictor.stream([b'no image'])) == [dict(error=answers[1]['error'])]


def test_images_of_several_sizes_go_through_one_call():
    """Where the pipeline leaves the size as it is."""
    predictor = Predictor(NAME)
    predictor._prepare._transform.transforms = [
        each for each in predictor._prepare._transform.transforms
        if type(each).__name__ != 'Resize']
    sizes = [(8, 8), (12, 10), (8, 8), (12, 10), (9, 9)]
    images = [np.full(size, 20 * number, np.uint8) for number, size in enumerate(sizes)]
    alone = [predictor(image)['pred_score'] for image in images]
    together = [answer['pred_score'] for answer in predictor(images, batch_size=5)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.fixture(scope='module')
def four_channels():
    """A network for color and alpha, whose pipeline loads images unchanged."""
    config = load_config('convmixer-128-4_cifar10')
    config.model.backbone.in_channels = 4
    config.data_preprocessor = dict(type='ClsDataPreprocessor', mean=[120.] * 4, std=[60.] * 4)
    config.test_dataloader.dataset.pipeline[0].color_type = 'unchanged'
    return Predictor(config, pretrained=False)


def test_four_channels_are_the_same_by_path_array_and_pil(four_channels, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    expected = four_channels(tmp_path / 'a.png')['pred_scores']
    for form in (Image.open(tmp_path / 'a.png'), pixels[..., [2, 1, 0, 3]]):
        np.testing.assert_array_equal(four_channels(form)['pred_scores'], expected)


def test_an_image_of_other_channels_is_one_line_and_leaves_the_others_alone(four_channels):
    color, alpha = Image.new('RGB', (32, 32)), Image.new('RGBA', (32, 32))
    answers = four_channels([color, alpha], batch_size=2)
    assert 'has 3 channels after the test pipeline, and the network takes 4' in answers[0]['error']
    assert 'pred_label' in answers[1]


@pytest.mark.parametrize('size', [(0, 5), (5, 0)])
def test_a_pil_image_without_pixels_is_an_error_of_its_own(predictor, size):
    from PIL import Image
    bad, good = predictor([Image.new('L', size), Image.new('L', (8, 8))])
    assert 'pixels' in bad['error'] and 'pred_class' in good


def test_an_empty_list_has_no_answers(predictor):
    assert predictor([]) == []


@pytest.mark.parametrize(('image', 'said'), [
    (np.zeros((), np.uint8), r'uint8 \(\)'),
    (np.zeros((3, 8, 9), np.uint8), 'put the channels last'),
    (np.zeros((8, 8, 4), np.uint8), 'drop the fourth channel'),
    (np.zeros((2, 8, 8, 3), np.uint8), 'list of arrays'),
    (np.zeros((8, 8), np.float32), '0 to 255'),
])
def test_an_array_that_is_not_an_image_gives_an_error_that_says_what_to_do(predictor, image, said):
    with pytest.raises(BadImage, match=said):
        predictor(image)


def test_an_error_of_the_iterable_comes_after_the_answers_to_its_items(predictor, digits):
    def ten():
        yield from digits[:10]
        raise OSError('the camera is gone')

    answers = []
    with pytest.raises(OSError, match='camera'):
        for answer in predictor.stream(ten(), batch_size=4):
            answers.append(answer)
    assert len(answers) == 10


def test_a_stream_can_be_stopped_early(predictor, digits):
    stream = predictor.stream(digits, batch_size=2)
    next(stream)
    stream.close()
    assert list(stream) == []
    assert len(predictor(digits[0])['pred_scores']) == 10


@pytest.mark.parametrize('options', [dict(batch_size=0), dict(batch_size=-1), dict(topk=0)])
def test_numbers_below_one_are_refused(predictor, digits, options):
    with pytest.raises(ValueError, match='expected 1 or more'):
        predictor(digits[:2], **options)
    with pytest.raises(ValueError, match='expected 1 or more'):
        next(predictor.stream(digits[:2], **options))


@pytest.mark.parametrize('backend', ['torch', 'onnxruntime'])
def test_a_multi_label_head_gives_sigmoid_scores(digits, backend):
    """A multi-label head has a sigmoid where others have softmax."""
    if backend == 'onnxruntime':
        pytest.importorskip('onnxscript')
        pytest.importorskip(backend)
    head = dict(type='MultiLabelLinearClsHead', num_classes=10, in_channels=64, _delete_=True)
    torch.manual_seed(0)
    model = get_model(NAME, head=head)
    expected = Predictor(model)(digits[0])['pred_scores']
    assert sum(expected) > 1.5
    np.testing.assert_allclose(Predictor(model, backend=backend)(digits[0])['pred_scores'],
                               expected, atol=1e-4)


@pytest.mark.parametrize(('backend', 'precision'), [
    ('torch', 'bfloat16'), ('compile', 'float32'), ('onnxruntime', 'float32'),
    ('openvino', 'float32'), ('openvino', 'bfloat16'), ('litert', 'float32')])
def test_every_backend_gives_the_answers_of_the_model(
        predictor, digits, processor, backend, precision):
    processor('with VNNI and bfloat16')
    if backend in ('onnxruntime', 'openvino', 'litert'):
        pytest.importorskip('tensorflow' if backend == 'litert' else backend)
    other = Predictor(NAME, backend=backend, precision=precision)
    tolerance = 1e-4 if precision == 'float32' else 0.05
    for batch_size in (4, 3):  # 40 is not a multiple of 3: the last batch is smaller
        for found, expected in zip(other(digits, batch_size=batch_size), predictor(digits),
                                   strict=True):
            np.testing.assert_allclose(found['pred_scores'], expected['pred_scores'],
                                       atol=tolerance)
            assert found['pred_class'] == str(found['pred_label'])


def mean_difference(found, expected):
    return np.mean([np.abs(np.subtract(one['pred_scores'], other['pred_scores'])).mean()
                    for one, other in zip(found, expected, strict=True)])


def needed_for_int8(backend):
    for package in dict(onnxruntime=['onnxscript', 'onnxruntime'],
                        openvino=['openvino', 'nncf'], litert=['tensorflow'])[backend]:
        pytest.importorskip(package)


@pytest.mark.parametrize('kind', ['with AVX2 alone', 'with VNNI and bfloat16'])
@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino', 'litert'])
def test_int8_is_calibrated_on_images(predictor, digits, processor, backend, kind):
    needed_for_int8(backend)
    processor(kind)
    other = Predictor(NAME, backend=backend, precision='int8', calib=digits, batch_size=8)
    assert 1e-5 < mean_difference(other(digits), predictor(digits)) < 0.02


def test_a_processor_without_bfloat16_computes_in_float32_and_logs_it(
        predictor, digits, processor, said):
    pytest.importorskip('openvino')
    processor('with AVX2 alone')
    other = Predictor(NAME, backend='openvino', precision='bfloat16')
    warning, = (line for line, level in said if level == logging.WARNING)
    assert 'no bfloat16 instructions' in warning and 'computing in float32' in warning
    assert 'logits are computed by openvino in float32' in [line for line, _ in said]
    assert mean_difference(other(digits), predictor(digits)) < 1e-6


@pytest.mark.parametrize('kind', ['with AVX2 alone', 'with VNNI and bfloat16'])
@pytest.mark.parametrize('backend', ['auto', 'onnxruntime', 'openvino'])
def test_int8_without_images_is_refused_on_every_processor(processor, kind, backend):
    if backend != 'auto':
        needed_for_int8(backend)
    processor(kind)
    with pytest.raises(UnknownOption, match='give calib'):
        Predictor('convmixer-1536-20_3rdparty_in1k', backend=backend, precision='int8')


def test_inference_model_passes_the_runtime_on(digits, processor):
    processor('with VNNI and bfloat16')
    plain = inference_model(NAME, digits[:3])
    other = inference_model(NAME, digits[:3], backend='torch', precision='bfloat16', batch_size=2)
    assert [each['pred_label'] for each in other] == [each['pred_label'] for each in plain]
    assert mean_difference(other, plain) > 1e-5  # the computation was in bfloat16


@pytest.mark.parametrize(('options', 'said'), [
    (dict(backend='tensorrt'), 'these are: auto, torch, compile, onnxruntime, openvino, litert'),
    (dict(precision='int4'), 'these are: float32, bfloat16, int8'),
    (dict(backend='torch', precision='int8'), 'backend torch has no precision int8'),
])
def test_unknown_runtimes_are_refused_before_weights_are_fetched(options, said):
    with pytest.raises(UnknownOption, match=said):
        Predictor('convmixer-1536-20_3rdparty_in1k', **options)


@pytest.mark.parametrize(('backend', 'extra'), [('openvino', 'deploy'), ('litert', 'tf')])
def test_a_missing_package_is_named_with_the_command(monkeypatch, backend, extra):
    monkeypatch.setattr('mmconvmixer.deploy.packages.find_spec', lambda module: None)
    with pytest.raises(MissingPackage, match=rf"pip install 'mmconvmixer\[{extra}\]'"):
        Predictor(NAME, backend=backend)


def test_class_names_of_another_number_are_not_used():
    model = get_model('convmixer-64-4_digits', head=dict(num_classes=7))
    answer = inference_model(model, np.zeros((8, 8), np.uint8), topk=7)
    assert len(answer['pred_topk']) == 7
    assert not any('pred_class' in each for each in (answer, *answer['pred_topk']))


@pytest.mark.parametrize('form', ['array', 'bytes', 'bytearray', 'path', 'text', 'PIL'])
def test_one_image_in_a_stream_is_one_image(predictor, digits, tmp_path, form):
    path = tmp_path / 'digit.png'
    Image.fromarray(digits[0]).save(path)
    image = dict(array=digits[0], bytes=path.read_bytes(), bytearray=bytearray(path.read_bytes()),
                 path=path, text=str(path), PIL=Image.open(path))[form]
    answer, = predictor.stream(image)
    np.testing.assert_array_equal(answer['pred_scores'], predictor(digits[0])['pred_scores'])


@pytest.mark.parametrize('ask', ['call', 'stream', 'inference_model'])
@pytest.mark.parametrize(('image', 'said'), [
    ('missing.png', 'does not exist'), (b'no image', "can't be decoded"),
    (io.BytesIO(b'an image'), 'getvalue'), (torch.zeros(3, 8, 8), 'NumPy array'),
    (np.zeros((8, 8), np.float32), 'range 0 to 255'), (5, 'got int')])
def test_one_bad_image_is_the_same_error_in_every_call(predictor, ask, image, said):
    with pytest.raises(BadImage, match=said):
        dict(call=predictor, stream=lambda image: list(predictor.stream(image)),
             inference_model=lambda image: inference_model(predictor.model, image))[ask](image)


def test_a_generator_is_refused_before_a_network_is_built():
    with pytest.raises(BadImage, match=r'got generator; .*list\(\.\.\.\)'):
        inference_model('convmixer-1536-20_3rdparty_in1k', (each for each in 'ab'),
                        backend='onnxruntime', precision='int8')


def test_images_for_int8_are_a_folder_or_a_list(digits):
    for calib in (iter(digits), np.stack(digits)):
        with pytest.raises(UnknownOption, match=r'expected a folder or a list of images'):
            Predictor('convmixer-1536-20_3rdparty_in1k', precision='int8', calib=calib)


class FailsOn:
    """A transform with a condition under which it raises."""

    def __init__(self, condition):
        self.condition = condition

    def __call__(self, results):
        if self.condition(results['img']):
            raise ZeroDivisionError('division by zero')
        return results


@pytest.fixture
def ask(predictor):
    """Make a predictor whose pipeline has another first transform, and does not resize."""
    def make(transform):
        own = Predictor(predictor.model)
        own._prepare._transform.transforms = [transform, *(
            each for each in own._prepare._transform.transforms
            if type(each).__name__ != 'Resize')]
        return own
    return make


@pytest.mark.parametrize('batch_size', [1, 3])
def test_a_transform_that_fails_on_one_image_leaves_the_others_alone(
        ask, predictor, digits, tmp_path, batch_size):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / 'black.png')
    own = ask(FailsOn(lambda pixels: pixels.max() == 0))
    first, bad, last = own([digits[0], tmp_path / 'black.png', digits[1]], batch_size=batch_size)
    assert 'black.png: the test pipeline fails on it, but not on a plain image ' \
           '(ZeroDivisionError: division by zero)' in bad['error']
    assert bad['img_path'] == str(tmp_path / 'black.png')
    assert first['pred_label'] == predictor(digits[0])['pred_label']
    assert last['pred_label'] == predictor(digits[1])['pred_label']
    with pytest.raises(BadImage, match='black.png'):
        own(tmp_path / 'black.png')


def test_a_transform_that_returns_none_for_an_image_is_an_error_in_its_place(ask, digits):
    own = ask(lambda results: None if results['img'].max() == 0 else results)
    bad, good = own([np.zeros((8, 8), np.uint8), digits[0]])
    assert 'returned None' in bad['error'] and 'pred_label' in good


def test_a_pipeline_without_inputs_for_an_image_is_an_error_in_its_place(ask, digits):
    own = ask(lambda results: results)
    own._prepare._transform.transforms.append(
        lambda sample: {} if sample['inputs'].max() == 0 else sample)
    bad, good = own([np.zeros((8, 8), np.uint8), digits[0]])
    assert "KeyError: 'inputs'" in bad['error'] and 'pred_label' in good


def test_a_full_memory_is_not_called_a_bad_image(ask, digits):
    def fill(results):
        raise MemoryError

    own = ask(fill)
    own._prepare.plain = dict(inputs=torch.zeros(1, 8, 8))  # as if it had passed before
    with pytest.raises(OutOfResources, match='no memory left'):
        own(digits[:2])


def test_a_test_pipeline_of_several_views_is_one_line(ask, digits):
    own = ask(lambda results: results)
    own._prepare._transform.transforms.append(lambda sample: dict(inputs=[sample['inputs']]))
    with pytest.raises(BadConfig, match='belongs in tta_pipeline'):
        own(digits[:2])


def test_a_transform_that_fails_on_every_image_keeps_its_error(ask, digits):
    own = ask(FailsOn(lambda pixels: True))
    for call in (own, lambda images: list(own.stream(images)), lambda images: own(images[0])):
        with pytest.raises(ZeroDivisionError):
            call(digits[:3])


@pytest.mark.parametrize('batch_size', [1, 3])
def test_an_image_too_small_for_the_network_leaves_the_others_alone(tmp_path, batch_size):
    config = load_config('convmixer-128-4_cifar10')  # its patches are 2 x 2
    config.test_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    own = Predictor(config, pretrained=False)
    images = [Image.new('RGB', (32, 32)), Image.new('RGB', (1, 1)), Image.new('RGB', (32, 32))]
    first, bad, last = own(images, batch_size=batch_size)
    assert 'the network fails on it (3 x 1 x 1 after the test pipeline)' in bad['error']
    assert first['pred_label'] == last['pred_label']
    with pytest.raises(BadImage, match='the network fails on it'):
        own(images[1])


def test_a_network_that_fails_on_every_image_keeps_its_error(predictor, digits):
    own = Predictor(predictor.model)
    own._network = None
    for images in (digits[0], digits[:3]):
        with pytest.raises(AttributeError, match='test_step'):
            own(images, batch_size=2)

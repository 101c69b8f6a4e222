"""`.mlpackage` folders: their operations are computed with PyTorch where Core ML does not run."""
import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.deploy import export
from mmconvmixer.deploy.classes import classes_of
from mmconvmixer.deploy.formats import coreml, mil
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization.accuracy import TestSet, top1
from mmconvmixer.deploy.sample_images import sample_batch
from mmconvmixer.errors import BadConfig, OutputNotWritable, UnknownOption

pytest.importorskip('coremltools', reason='coremltools is not installed')
pytestmark = pytest.mark.skipif(sys.platform == 'darwin', reason='Core ML itself runs here')


def written(model, folder, features=False, dtype='float32'):
    """Write a model; return the folder, the job, and real images as the network's input."""
    preprocessing = preprocessing_of(model)
    names = None if features else classes_of(model, model.head.fc.out_features)
    job = Job(model, preprocessing, names, features, dynamic_batch=False, dtype=dtype)
    coreml.write(job, folder / 'net.mlpackage')
    return folder / 'net.mlpackage', job, sample_batch(preprocessing)


def expected_of(model, images, features=False):
    with torch.no_grad():
        found = model.eval().extract_feat(torch.from_numpy(images))
        return (found[-1] if features else model.head(found)).numpy()


def pixels_of(images, job):
    mean, std = (torch.tensor(values)[:, None, None] for values in (
        job.preprocessing.mean, job.preprocessing.std))
    return torch.round(torch.from_numpy(images) * std + mean)


@pytest.mark.parametrize('act, kernel_size', [('GELU', 5), ('ReLU', 4)])
@pytest.mark.parametrize('features', [False, True])
def test_a_convmixer_is_the_same(convmixer, tmp_path, act, kernel_size, features, error):
    model = convmixer(act=act, kernel_size=kernel_size)
    path, _, images = written(model, tmp_path, features)
    assert error(coreml.reader(path)(images), expected_of(model, images, features)) < 1e-5


@pytest.mark.parametrize('approximate', ['none', 'tanh'])
def test_an_mlp_mixer_is_the_same(mixer, tmp_path, approximate, error):
    model = mixer()
    for module in model.modules():
        if isinstance(module, nn.GELU):
            module.approximate = approximate
    path, _, images = written(model, tmp_path)
    assert error(coreml.reader(path)(images), expected_of(model, images)) < 1e-5


def test_float16_is_close_and_the_probabilities_are_not_the_logits(convmixer, tmp_path, error):
    model = convmixer()
    path, job, images = written(model, tmp_path, dtype='float16')
    expected = expected_of(model, images)
    assert 1e-5 < error(coreml.reader(path)(images), expected) < 0.02
    outputs = mil.run(mil.main_of(coreml.load(path)), dict(image=pixels_of(images, job)[:1]))
    assert sum(outputs['classLabel_probs'].values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize('family', ['convmixer', 'mixer'])
def test_weights_in_int8_have_a_scale_for_each_channel(mixer, family, tmp_path, error):
    model = mixer() if family == 'mixer' else get_model('convmixer-128-4_cifar10', True)
    path, _, images = written(model, tmp_path, dtype='int8')
    weights = [operation.inputs for operation in mil.main_of(coreml.load(path)).operations
               if operation.op_type == 'constexpr_affine_dequantize']
    assert weights
    for each in weights:
        assert each['quantized_data'].val.dtype == np.int8
        assert each['scale'].val.shape == each['quantized_data'].val.shape[:1]
    assert 1e-4 < error(coreml.reader(path)(images), expected_of(model, images)) < 0.05


def test_an_int8_file_is_a_classifier_that_needs_no_calibration(tmp_path):
    out = tmp_path / 'net.mlpackage'
    record = export('convmixer-128-4_cifar10', 'coreml', out, dtype='int8')
    assert list(record['outputs']) == ['logits', 'classLabel', 'classLabel_probs']
    assert record['check']['max_difference'] < 0.05 * record['check']['largest']
    weights = sum(each.numel() for each in get_model('convmixer-128-4_cifar10').parameters())
    size = (out / 'Data/com.apple.CoreML/weights/weight.bin').stat().st_size
    assert weights < size < 1.3 * weights
    with pytest.raises(UnknownOption, match='format coreml in int8 needs no calib'):
        export('convmixer-128-4_cifar10', 'coreml', out, dtype='int8', calib=tmp_path)


def test_a_classifier_names_the_class_and_all_scores(tmp_path):
    model = get_model('convmixer-64-4_digits', pretrained=True)
    path, job, images = written(model, tmp_path)
    expected = torch.from_numpy(expected_of(model, images)).softmax(1)
    function, pixels = mil.main_of(coreml.load(path)), pixels_of(images, job)
    for image, scores in zip(pixels, expected, strict=True):
        outputs = mil.run(function, dict(image=image[None]))
        assert outputs['classLabel'] == str(int(scores.argmax()))
        assert list(outputs['classLabel_probs']) == [str(digit) for digit in range(10)]
        np.testing.assert_allclose([*outputs['classLabel_probs'].values()], scores, atol=1e-5)


def test_the_input_is_an_image_with_a_deviation_for_each_channel(tmp_path):
    path, job, _ = written(get_model('convmixer-128-4_cifar10', pretrained=True), tmp_path)
    model = coreml.load(path)
    image, = model.get_spec().description.input
    assert (image.name, image.type.imageType.width, image.type.imageType.height) == (
        'image', 32, 32)
    assert image.type.imageType.ColorSpace.Name(image.type.imageType.colorSpace) == 'RGB'
    factors = [operation.inputs['y'].val.flatten() for operation in mil.main_of(model).operations
               if operation.op_type == 'mul' and operation.inputs['y'].val.size == 3]
    np.testing.assert_allclose(factors, [1 / np.array(job.preprocessing.std)], rtol=1e-6)
    assert json.loads(model.user_defined_metadata['mmconvmixer.preprocessing'])['channels'] == 'RGB'


def test_the_record_says_that_core_ml_itself_was_not_run(tmp_path):
    record = export('convmixer-64-4_digits', 'coreml', tmp_path / 'net.mlpackage')
    assert record['check']['max_difference'] < 1e-5 * record['check']['largest']
    assert record['check']['computed_by'] == (
        "PyTorch, from the operations and weights in the file; Core ML's own kernels, which only "
        'macOS has, were not run')
    assert record['inputs'] == dict(image=dict(shape=[8, 8, 1], dtype='uint8', color='GRAYSCALE'))
    assert list(record['outputs']) == ['logits', 'classLabel', 'classLabel_probs']
    assert set(record['files']) == {f'net.mlpackage/{name}' for name in (
        'Manifest.json', 'Data/com.apple.CoreML/model.mlmodel',
        'Data/com.apple.CoreML/weights/weight.bin')}
    again = export('convmixer-64-4_digits', 'coreml', tmp_path / 'net.mlpackage', features=True)
    assert list(again['outputs']) == ['features']


def test_another_folder_is_not_replaced(tmp_path):
    (tmp_path / 'net.mlpackage').mkdir()
    (tmp_path / 'net.mlpackage' / 'thesis.txt').write_text('three years')
    with pytest.raises(OutputNotWritable, match=r'not a folder of the kind \.mlpackage'):
        export('convmixer-64-4_digits', 'coreml', tmp_path / 'net.mlpackage')
    assert (tmp_path / 'net.mlpackage' / 'thesis.txt').read_text() == 'three years'


def test_several_images_at_once_are_refused(tmp_path):
    with pytest.raises(UnknownOption, match='takes one image'):
        export('convmixer-64-4_digits', 'coreml', tmp_path / 'net.mlpackage', dynamic_batch=True)


def test_an_operation_that_cannot_be_checked_is_named(convmixer, tmp_path, monkeypatch):
    path, _, images = written(convmixer(), tmp_path)
    monkeypatch.delitem(mil._OPERATIONS, 'gelu')
    with pytest.raises(BadConfig, match='operation gelu of Core ML cannot be computed here'):
        coreml.reader(path)(images)


def test_on_macos_core_ml_gets_a_pillow_image(convmixer, tmp_path, monkeypatch):
    """The prediction itself is replaced here: Core ML would return what this function does."""
    path, job, images = written(convmixer(), tmp_path)
    loaded, seen = coreml.load(path), []

    def predict(inputs):
        seen.append(np.asarray(inputs['image']))
        return dict(logits=np.zeros((1, 10)), classLabel='cat', classLabel_probs={})
    loaded.predict = predict
    monkeypatch.setattr(coreml, '_has_core_ml', lambda: True)
    monkeypatch.setattr(coreml, 'load', lambda _: loaded)
    assert coreml.reader(path)(images).shape == (8, 10)
    np.testing.assert_array_equal(
        np.stack(seen).transpose(0, 3, 1, 2), pixels_of(images, job).numpy())
    assert coreml.computed_by() == 'Core ML'


@pytest.mark.slow
def test_cifar_10_with_int8_weights_loses_at_most_half_a_point(unpacked, tmp_path):
    """On every fifth test image: `pytest -m slow tests/deploy/formats/test_coreml.py`."""
    model, runs = get_model('convmixer-128-4_cifar10', pretrained=True), {}
    for dtype in coreml.DTYPES:
        (tmp_path / dtype).mkdir()
        path, *_ = written(model, tmp_path / dtype, dtype=dtype)
        runs[dtype] = coreml.reader(path)
    accuracy = top1(runs, ((images[::5], labels[::5]) for images, labels in TestSet(
        model, str(unpacked('cifar10', 'test')))))
    print(accuracy)
    assert accuracy['float32'] == pytest.approx(85.00, abs=0.01)
    for dtype in ('float16', 'int8'):
        assert accuracy['float32'] - accuracy[dtype] <= 0.5

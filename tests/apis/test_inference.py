import io
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import mmcv
import numpy as np
import pytest
import torch
from PIL import Image

from mmconvmixer import Predictor, get_model, inference_model, list_models
from mmconvmixer.apis.evaluation import evaluate
from mmconvmixer.errors import (
    BadConfig,
    BadImage,
    CheckpointMismatch,
    CheckpointNotFound,
    UnknownModel,
)

DIGITS = 'convmixer-64-4_digits'


@pytest.fixture(scope='module')
def predictor():
    return Predictor(DIGITS)


@pytest.fixture(scope='module')
def digit():
    """A handwritten 3 of the test third, (8, 8) uint8."""
    from mmconvmixer.datasets import Digits
    samples = Digits('test')
    return next(samples.get_data_info(i)['img'] for i in range(len(samples))
                if samples.get_data_info(i)['gt_label'] == 3)


@pytest.fixture
def folder(tmp_path, digit):
    """good.png, empty.png, text.jpg and a file that is not an image."""
    Image.fromarray(digit).save(tmp_path / 'good.png')
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'notes.txt').write_text('not meant to be one')
    return tmp_path


@pytest.fixture
def url_of(folder):
    """The address of `folder`, served on loopback."""
    server = ThreadingHTTPServer(('127.0.0.1', 0),
                                 partial(SimpleHTTPRequestHandler, directory=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_a_name_and_an_image_give_a_class(digit):
    answer = inference_model(DIGITS, digit)
    assert (answer['pred_label'], answer['pred_class']) == (3, '3')
    assert answer['pred_score'] == max(answer['pred_scores']) > 0.5
    assert len(answer['pred_scores']) == 10
    assert sum(answer['pred_scores']) == pytest.approx(1, abs=1e-5)


def test_topk_ranks_the_best(predictor, digit):
    answer = predictor(digit, topk=5)
    order = np.argsort(answer['pred_scores'])[::-1][:5]
    assert [rank['pred_label'] for rank in answer['pred_topk']] == order.tolist()
    assert answer['pred_topk'][0]['pred_class'] == answer['pred_class']
    assert len(predictor(digit, topk=99)['pred_topk']) == 10


def test_every_form_of_an_image_gives_the_same_scores(predictor, folder, digit):
    path = folder / 'good.png'
    expected = predictor(digit)['pred_scores']
    for form in (path, str(path), path.read_bytes(), Image.open(path),
                 np.repeat(digit[..., None], 3, axis=2)):
        np.testing.assert_array_equal(predictor(form)['pred_scores'], expected)


def test_a_url_is_read(predictor, url_of, digit):
    ask = Predictor(predictor.model, allow_private_urls=True)
    answer = ask(f'{url_of}/good.png')
    np.testing.assert_array_equal(answer['pred_scores'], predictor(digit)['pred_scores'])
    with pytest.raises(BadImage, match='missing.png'):
        ask(f'{url_of}/missing.png')


def test_a_url_of_this_machine_is_asked_only_if_that_is_allowed(predictor, url_of):
    with pytest.raises(BadImage, match='good.png.*127.0.0.1.*set allow_private_urls'):
        predictor(f'{url_of}/good.png')


def test_a_color_photo_by_path_bytes_pil_and_array_agree(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    path = tmp_path / 'photo.png'
    Image.fromarray(pixels).save(path)
    ask = Predictor('convmixer-128-4_cifar10')
    expected = ask(path)['pred_scores']
    for form in (path.read_bytes(), Image.open(path), mmcv.imread(str(path))):
        np.testing.assert_array_equal(ask(form)['pred_scores'], expected)


def test_an_orientation_tag_is_obeyed_in_every_form(tmp_path, digit):
    path = tmp_path / 'turned.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    big = Image.fromarray(digit).resize((64, 64))
    big.save(path, exif=exif, quality=100, subsampling=0)
    ask = Predictor(DIGITS)
    by_path = ask(path)['pred_scores']
    np.testing.assert_allclose(ask(Image.open(path))['pred_scores'], by_path, atol=1e-3)
    upright = tmp_path / 'upright.jpg'
    big.save(upright, quality=100, subsampling=0)
    assert np.abs(np.subtract(ask(upright)['pred_scores'], by_path)).max() > 0.1


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_in_a_list_a_bad_image_gets_an_error_and_the_rest_their_answers(
        predictor, folder, digit, batch_size):
    answers = predictor([digit, folder / 'empty.png', b'', digit, folder / 'nowhere.png'],
                        batch_size=batch_size)
    assert ['error' in answer for answer in answers] == [False, True, True, False, True]
    assert answers[0]['pred_label'] == answers[3]['pred_label'] == 3
    assert 'empty.png' in answers[1]['error'] and 'nowhere.png' in answers[4]['error']


def test_a_folder_gives_its_images_by_name_and_leaves_other_files_alone(predictor, folder):
    answers = predictor(folder)
    assert [answer['img_path'].split('/')[-1] for answer in answers] == [
        'empty.png', 'good.png', 'text.jpg']
    assert answers[1]['pred_label'] == 3
    assert 'error' in answers[0] and 'error' in answers[2]


def test_one_bad_image_alone_is_an_exception(predictor, folder):
    for bad in (folder / 'empty.png', folder / 'text.jpg', folder / 'no.png', b'', 7,
                np.zeros((0, 8), np.uint8), np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(BadImage):
            predictor(bad)


def test_a_truncated_pil_image_is_a_bad_image(predictor, tmp_path):
    encoded = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(encoded, 'png')
    half = encoded.getvalue()[:len(encoded.getvalue()) // 2]
    with pytest.raises(BadImage):
        predictor(Image.open(io.BytesIO(half)))


def test_a_folder_without_images_says_so(predictor, tmp_path):
    with pytest.raises(BadImage, match='no image'):
        predictor(tmp_path)


def test_an_image_gets_the_same_scores_as_from_the_test_tool(tmp_path):
    from mmengine.fileio import load

    from mmconvmixer.datasets import Digits
    evaluate(DIGITS, out=str(tmp_path / 'out.json'), work_dir=str(tmp_path / 'work'),
             overrides={'test_dataloader.batch_size': 1})
    samples, ask = Digits('test'), Predictor(DIGITS)
    for number, written in enumerate(load(tmp_path / 'out.json')[:20]):
        answer = ask(samples.get_data_info(number)['img'])
        assert answer['pred_label'] == written['pred_label']
        assert answer['pred_scores'] == written['pred_scores']


def test_extract_feat_returns_pooled_features_and_maps():
    model = get_model(DIGITS.upper())
    batch = torch.rand(2, 1, 8, 8)
    assert model.extract_feat(batch)[-1].shape == (2, 64)
    assert model.extract_feat(batch, stage='backbone')[-1].shape == (2, 64, 8, 8)
    assert not model.training


def test_pretrained_takes_true_a_path_and_a_name():
    weights = get_model(DIGITS, pretrained=True).state_dict()
    from mmconvmixer import zoo
    path = zoo.find(DIGITS).weights
    for pretrained in (path, DIGITS):
        other = get_model(DIGITS, pretrained=pretrained).state_dict()
        assert all(torch.equal(other[key], weights[key]) for key in weights)
    assert not torch.equal(get_model(DIGITS).state_dict()['head.fc.weight'],
                           weights['head.fc.weight'])


def test_another_class_count_is_an_error_that_names_the_keys_unless_not_strict():
    with pytest.raises(CheckpointMismatch, match=r'head.fc.weight \(10, 64\).*\(5, 64\)'):
        get_model(DIGITS, pretrained=True, head=dict(num_classes=5))
    model = get_model(DIGITS, pretrained=True, head=dict(num_classes=5), strict=False)
    trained = get_model(DIGITS, pretrained=True)
    assert torch.equal(model.backbone.stem[0].weight, trained.backbone.stem[0].weight)
    assert model.head.fc.out_features == 5


def test_errors_say_what_to_do():
    with pytest.raises(UnknownModel, match='convmixer-768-32_3rdparty_in1k'):
        get_model('convmixer-786-32_3rdparty_in1k')
    with pytest.raises(BadConfig, match='nowhere.py'):
        get_model('nowhere.py')
    with pytest.raises(CheckpointNotFound, match='pretrained=PATH'):
        get_model('configs/convmixer/convmixer-256-8_cifar100.py', pretrained=True)
    model = get_model(DIGITS)
    model._config = None
    with pytest.raises(BadConfig, match='get_model'):
        Predictor(model)


def test_list_models_knows_both_zoos_and_any_case():
    assert DIGITS in list_models() and 'resnet50_8xb32_in1k' in list_models()
    assert list_models('ConvMixer-64*') == [DIGITS]


def test_models_of_mmpretrain_work_too():
    model = get_model('mobilenet-v2_8xb32_in1k')
    answer = inference_model(model, np.zeros((64, 64, 3), np.uint8), topk=2)
    assert len(answer['pred_topk']) == 2 and isinstance(answer['pred_class'], str)


def test_load_from_of_a_config_with_a_new_head_is_not_its_weights(repo):
    with pytest.raises(CheckpointNotFound, match='no weights are published'):
        get_model(repo / 'configs/convmixer/convmixer-128-4_cifar100-5k_from-cifar10.py',
                  pretrained=True)

"""A folder that timm saved gives timm's images, classes and answers here."""
import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmconvmixer import Predictor, get_model
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.checkpoints.hub_config import hub_meta
from mmconvmixer.datasets.image_input import ImagePipeline

CIFAR = 'convmixer-128-4_cifar10'
NAMES = [f'own {number}' for number in range(10)]
OWN = dict(mean=[0., 0.1, 0.2], std=[1., 0.9, 0.8], input_size=[3, 48, 48], crop_pct=0.75,
           interpolation='bilinear', crop_mode='center')


def config_of(**changes):
    """What timm writes for a fine-tuned model."""
    return dict(architecture='convmixer_768_32', num_classes=10, label_names=NAMES,
                pretrained_cfg={**OWN, **changes})


@pytest.fixture
def folder(tmp_path):
    """A folder with a network's weights under timm's names, and timm's config."""
    from mmconvmixer import zoo
    folder = tmp_path / 'hub'
    folder.mkdir()
    convert(zoo.find(CIFAR).weights, folder / 'model.safetensors', 'timm')
    # Its meta would say the same as the model's config.
    from safetensors.torch import load_file, save_file
    save_file(load_file(folder / 'model.safetensors'), folder / 'model.safetensors')
    return folder


@pytest.fixture
def image():
    generator = np.random.default_rng(0)
    return Image.fromarray(generator.integers(0, 256, (90, 120, 3), np.uint8))


def write(folder, config):
    (folder / 'config.json').write_text(json.dumps(config))


def as_timm(image, config):
    data = pytest.importorskip('timm', reason='timm is not installed').data
    options = data.resolve_data_config(pretrained_cfg=config['pretrained_cfg'])
    return data.create_transform(**options)(image)


def as_here(model, image):
    sample = ImagePipeline(model)(image)
    return model.data_preprocessor(dict(inputs=[sample['inputs']], data_samples=[
        sample['data_samples']]))['inputs'][0]


CONFIGS = {
    'own values': {},
    'squashed': dict(crop_mode='squash', crop_pct=0.9),
    'squashed to a rectangle': dict(crop_mode='squash', crop_pct=1., input_size=[3, 40, 56]),
    'bicubic': dict(interpolation='bicubic', crop_pct=0.96),
    'timm\'s defaults': dict.fromkeys(('crop_pct', 'crop_mode', 'interpolation', 'mean', 'std')),
}


@pytest.mark.parametrize('changes', CONFIGS.values(), ids=CONFIGS)
def test_images_are_prepared_as_in_timm(folder, image, changes):
    config = config_of(**changes)
    write(folder, config)
    model = get_model(CIFAR, pretrained=str(folder))
    got, expected = as_here(model, image), as_timm(image, config)
    assert got.shape == expected.shape
    # timm scales to 0..1 first; squashing an image in Pillow rounds the same way.
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_changes_are_said(folder, monkeypatch):
    lines = []
    for module in ('checkpoints.normalization', 'zoo.resizing'):
        monkeypatch.setattr(f'mmconvmixer.{module}.print_log',
                            lambda text, logger: lines.append(text))
    write(folder, config_of())
    get_model(CIFAR, pretrained=str(folder))
    said = '\n'.join(lines)
    assert 'mean [0.0, 25.5, 51.0], std [255.0, 229.5, 204.0], RGB' in said
    assert 'resized to 64 at the short edge (bilinear) and cropped to 48' in said


def test_classes_have_the_names_in_the_folder(folder, image):
    write(folder, config_of())
    answer = Predictor(CIFAR, pretrained=str(folder))(image)
    assert answer['pred_class'] == NAMES[answer['pred_label']]


@pytest.mark.parametrize('place', ['folder', 'file', 'old form'])
def test_the_config_is_found_beside_the_weights(folder, place):
    config = config_of()
    if place == 'old form':
        config = {**config.pop('pretrained_cfg'), **config, 'labels': config.pop('label_names')}
    write(folder, config)
    path = folder / 'model.safetensors' if place == 'file' else folder
    meta = read_checkpoint(path)['meta']
    assert meta['normalization']['mean'] == [0., 25.5, 51.]
    assert meta['resizing'] == dict(
        size=[48, 48], crop_pct=0.75, crop_mode='center', interpolation='bilinear')
    assert meta['dataset_meta'] == dict(classes=NAMES)


def test_a_bare_state_dict_gets_it_too(folder):
    weights = read_checkpoint(folder)['state_dict']
    (folder / 'model.safetensors').unlink()
    torch.save(weights, folder / 'pytorch_model.bin')
    write(folder, config_of())
    checkpoint = read_checkpoint(folder)
    assert checkpoint['state_dict'].keys() == weights.keys()
    assert checkpoint['meta']['normalization']['std'] == [255., 0.9 * 255, 0.8 * 255]


def test_it_survives_a_conversion(folder, image, tmp_path):
    write(folder, config_of())
    path = convert(folder, tmp_path / 'net.pth').path
    first, second = (get_model(CIFAR, pretrained=str(each)) for each in (folder, path))
    assert torch.equal(as_here(first, image), as_here(second, image))
    assert second._dataset_meta == dict(classes=NAMES)


def test_a_config_of_another_library_says_nothing(folder):
    write(folder, dict(architectures=['ResNet'], model_type='resnet', id2label={'0': 'cat'}))
    assert hub_meta(folder) == read_checkpoint(folder)['meta'] == {}


@pytest.mark.parametrize(('changes', 'said'), [
    (dict(std=[0., 1., 1.]), 'std has 0, expected positive'),
    (dict(mean=[float('nan')] * 3), 'mean has nan'),
    (dict(mean='abc'), 'mean is not a list of numbers'),
    (dict(mean=[0.5, 0.5]), 'mean has 2 values and std 3'),
    (dict(crop_pct=-1), 'crop_pct is -1'),
    (dict(crop_pct='half'), "crop_pct is 'half'"),
    (dict(input_size=[3, 224]), r'input_size is [224]'),
    (dict(input_size='224'), "input_size is '224'"),
    (dict(input_size=[3, 32, 64]), "crop_mode 'center' with input_size [32, 64] is not supp"),
    (dict(crop_mode='border'), "crop_mode 'border'"),
    (dict(interpolation='random'), "interpolation is 'random'")], ids=repr)
def test_values_that_cannot_be_used_are_said_and_not_used(folder, image, changes, said, warned):
    write(folder, config_of(**changes))
    model, plain = get_model(CIFAR, pretrained=str(folder)), get_model(CIFAR)
    assert len(warned) == 1 and said in warned[0] and str(folder) in warned[0]
    if said.startswith(('mean', 'std')):
        assert torch.equal(model.data_preprocessor.mean, plain.data_preprocessor.mean)
    else:
        assert ImagePipeline(model)(image)['inputs'].shape == ImagePipeline(plain)(
            image)['inputs'].shape


@pytest.mark.parametrize('names', [NAMES[:-1], 'abc', dict(a=1)], ids=str)
def test_names_for_other_classes_are_said_and_not_used(folder, names, warned):
    write(folder, dict(config_of(), label_names=names))
    assert 'dataset_meta' not in hub_meta(folder)
    assert 'label_names for 10 classes; they are not used' in warned[0]


@pytest.mark.parametrize('text', ['{', '[' * 100_000, '"text"', '\udcff'], ids=[
    'cut short', 'deep', 'no dict', 'not UTF-8'])
def test_a_damaged_config_is_said_or_ignored(folder, text, warned):
    (folder / 'config.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
    assert hub_meta(folder) == {}
    assert text == '"text"' or 'says how images are prepared, but cannot be read' in warned[0]


def test_the_networks_own_size_is_kept_where_it_has_one(tmp_path, image):
    model = get_model('mlp-mixer-base-p16_flax_in1k', backbone=dict(
        img_size=32, patch_size=16, arch='S'), head=dict(in_channels=512))
    from mmconvmixer.zoo.resizing import use_resizing
    use_resizing(model, dict(resizing=dict(size=[224, 224], crop_pct=0.5, crop_mode='center',
                                           interpolation='bicubic')), 'net')
    assert ImagePipeline(model)(image)['inputs'].shape == (3, 32, 32)

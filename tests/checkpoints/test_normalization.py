from types import SimpleNamespace

import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.checkpoints.config_text import LONGEST_TEXT
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.checkpoints.normalization import normalization_of, use_normalization
from mmconvmixer.datasets import ClsDataPreprocessor

DIGITS = 'convmixer-64-4_digits'
FOUND = dict(mean=[100.5], std=[50], to_rgb=False)
TEXTS = {
    'mmpretrain 1.x': "model = dict(type='X')\ndata_preprocessor = dict(\n    mean=[100.5], "
                      "num_classes=10,\n    std=[50], to_rgb=False)\n",
    'in the model': "model = dict(data_preprocessor=dict(mean=[100.5], std=[50], type=Some.Class))",
    'as plain dicts': "model = {'data_preprocessor': {'mean': [100.5], 'std': [50]}}",
    'mmcls 0.x': "img_norm_cfg = dict(mean=[100.5], std=[50], to_rgb=False)\nx = [img_norm_cfg]",
}


@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize('key', ['cfg', 'config'])
def test_it_is_found_in_every_form_of_config(text, key):
    assert normalization_of({key: text}) == FOUND


@pytest.mark.parametrize('text', [
    '', 'no config', 'data_preprocessor = dict(mean=[1])', 'data_preprocessor = 3',
    'data_preprocessor = dict(mean=[1], std=[0])', 'data_preprocessor = dict(mean=[1, 2], std=[1])',
    "data_preprocessor = dict(mean=[open('it ran', 'w')], std=[1])", '(' * 1000, '\0',
    'data_preprocessor = dict(mean="abc", std="abc")', 3, None, ['x'],
], ids=repr)
def test_anything_else_is_ignored_and_not_executed(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert normalization_of(dict(cfg=text)) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('way', ['as it is', 'converted'])
def test_a_model_normalizes_images_as_its_weights_expect(tmp_path, way):
    model = get_model(DIGITS, pretrained=True)
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=TEXTS['mmpretrain 1.x'])), path)
    if way == 'converted':
        path = convert(path, tmp_path / 'net.safetensors', 'timm').path
    other = get_model(DIGITS, pretrained=str(path))
    assert (other.data_preprocessor.mean.item(), other.data_preprocessor.std.item()) == (100.5, 50)
    assert model.data_preprocessor.mean.item() != 100.5
    own = get_model(DIGITS, pretrained=str(path), data_preprocessor=dict(
        mean=[7.], std=[1.]))
    assert own.data_preprocessor.mean.item() == 7


UNUSABLE = {
    'nan': (dict(mean=[float('nan')]), 'mean has nan'),
    'infinite': (dict(std=[float('inf')]), 'std has inf'),
    'zero': (dict(std=[0.]), 'std has 0, expected positive'),
    'negative': (dict(std=[-50.]), 'std has -50, expected positive'),
    'almost zero': (dict(std=[1e-45]), 'std has 1e-45'),
    '400 digits': (dict(mean=[10**400]), 'mean has a number of hundreds of digits'),
    'two and one': (dict(mean=[1., 2.]), 'mean has 2 values and std 1'),
    'none': (dict(mean=[], std=[]), 'mean is not a list of numbers'),
    'text': (dict(mean='abc'), 'mean is not a list of numbers'),
    'truth': (dict(std=[True]), 'std is not a list of numbers'),
    'a number for to_rgb': (dict(to_rgb=1), 'to_rgb is 1'),
}


def model_with(mean, std):
    return SimpleNamespace(data_preprocessor=ClsDataPreprocessor(mean=mean, std=std))


def normalization_in(model):
    preprocessor = model.data_preprocessor
    return preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()


@pytest.mark.parametrize('kind', UNUSABLE)
@pytest.mark.parametrize('place', ['config', 'converted'])
def test_a_normalization_that_no_image_can_have_is_left_out_with_a_warning(kind, place, warned):
    wrong, said = UNUSABLE[kind]
    values = dict(FOUND, **wrong)
    if place == 'config':  # where NaN can't be written
        values = dict(values, mean=[float('inf')]) if kind == 'nan' else values
        said = said.replace('nan', 'inf')
        meta = dict(cfg=f'data_preprocessor = {values!r}'.replace('inf]', '1e999]'))
    else:
        meta = dict(converted=dict(preprocessing=values))
    model = model_with([7.], [2.])
    use_normalization(model, meta, 'other.pth')
    assert normalization_in(model) == ([7.], [2.])
    warning, = warned
    assert said in warning and 'other.pth' in warning


def test_a_normalization_of_other_channels_is_left_out_with_a_warning(warned):
    model = model_with([7.], [2.])
    use_normalization(model, dict(cfg='img_norm_cfg = dict(mean=[1, 2, 3], std=[1, 1, 1])'), 'x')
    assert normalization_in(model) == ([7.], [2.])
    assert 'a mean of 3 values, but the model normalizes 1 channels' in warned[0]


def test_one_value_is_for_all_channels():
    model = model_with([1., 2., 3.], [4., 5., 6.])
    use_normalization(model, dict(cfg='data_preprocessor = dict(mean=[127.5], std=[50.])'), 'x')
    assert normalization_in(model) == ([127.5] * 3, [50.] * 3)


@pytest.mark.parametrize('text', [
    '# data_preprocessor = dict(mean=[1], std=[1])\n' + TEXTS['mmpretrain 1.x'],
    "a = 'data_preprocessor = dict(mean=[1], std=[1])'\n" + TEXTS['mmpretrain 1.x'],
    "a = '''\ndata_preprocessor = dict(mean=[1], std=[1])\n'''\n" + TEXTS['mmpretrain 1.x'],
    'my_data_preprocessor = dict(mean=[1], std=[1])\n' + TEXTS['mmpretrain 1.x'],
    'data_preprocessor = dict(num_classes=10)\n' + TEXTS['in the model'],
    'data_preprocessor = dict(mean=[1], std=[1])\n' + TEXTS['in the model'],
    "data_preprocessor = dict(  # ) the end?\n mean=[100.5], text=')', std=[50])",
], ids=['comment', 'string', 'long string', 'longer name', 'only classes', 'also outside of model',
        'brackets in text'])
def test_only_the_assignment_that_holds_is_read(text):
    assert normalization_of(dict(cfg=text)) == FOUND


def test_it_is_found_in_a_text_of_megabytes():
    names = 'classes = [' + "'tench, Tinca tinca', " * 80_000 + ']\n'
    assert len(names) > 1_000_000
    assert normalization_of(dict(cfg=names + TEXTS['mmpretrain 1.x'])) == FOUND


def test_a_longer_text_is_not_read_and_said(monkeypatch, warned):
    text = TEXTS['mmpretrain 1.x']
    monkeypatch.setattr('mmconvmixer.checkpoints.config_text.LONGEST_TEXT', len(text) - 1)
    assert len(text) < LONGEST_TEXT
    assert normalization_of(dict(cfg=text), 'net.pth') is None
    assert 'net.pth: a config of' in warned[0] and 'is too long' in warned[0]


@pytest.mark.parametrize('value', ['(' * 50, '[1' + ', 1' * 5000 + ']', '-' * 9000 + '1'],
                         ids=['deep', 'long', 'signs'])
def test_a_value_that_is_deep_or_long_is_not_parsed(value):
    assert normalization_of(dict(cfg=f'data_preprocessor = dict(mean={value}, std=[1])')) is None

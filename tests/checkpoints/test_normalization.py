import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.checkpoints.normalization import normalization_of

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

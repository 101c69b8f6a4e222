"""mmengine's own functions return what they return without this package."""
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from torch import nn

from mmconvmixer import get_model, zoo
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.registry import register, unregister

DIGITS = 'convmixer-64-4_digits'


@pytest.fixture(autouse=True)
def registered():
    get_model(DIGITS)  # a lookup: classes and readers are registered at the first


@pytest.fixture
def weights():
    return nn.Sequential(OrderedDict(block=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4))
                         ).state_dict()


CONTENTS = {
    'a bare state dict': lambda weights: weights,
    'with meta': lambda weights: dict(state_dict=weights, meta=dict(epoch=3)),
    'of DataParallel': lambda weights: {f'module.{key}': weights[key] for key in weights},
    'without weights': lambda weights: dict(model=weights, optimizer=dict(lr=0.1)),
}


@pytest.mark.parametrize('make', CONTENTS.values(), ids=CONTENTS)
def test_a_file_of_another_network_comes_back_as_it_was_saved(weights, make, tmp_path):
    content, path = make(weights), tmp_path / 'net.pth'
    torch.save(content, path)
    got = CheckpointLoader.load_checkpoint(str(path))
    unregister()
    try:
        plain = CheckpointLoader.load_checkpoint(str(path))
    finally:
        register()
    assert repr(got) == repr(plain) == repr(torch.load(path, weights_only=True))
    assert type(got) is type(plain)
    version = got.get('state_dict', got)
    assert getattr(version, '_metadata', None) == getattr(
        plain.get('state_dict', plain), '_metadata', None)


def test_a_revised_bare_state_dict_has_no_other_keys(weights, tmp_path):
    path = tmp_path / 'net.pth'
    torch.save(weights, path)
    model = nn.ModuleDict(dict(backbone=nn.Sequential(OrderedDict(
        block=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4)))))
    got = load_checkpoint(model, str(path), revise_keys=[(r'^', 'backbone.')])
    assert got.keys() == weights.keys()
    assert torch.equal(model.backbone.block.weight, weights['block.weight'])


def test_a_file_with_mmpretrains_names_comes_back_as_it_was_saved(tmp_path):
    saved = torch.load(zoo.find(DIGITS).weights, weights_only=True)
    got = CheckpointLoader.load_checkpoint(zoo.find(DIGITS).weights)
    assert got.keys() == saved.keys() and list(got['state_dict']) == list(saved['state_dict'])


@pytest.mark.parametrize('to', ['timm', 'official'])
def test_only_the_names_of_another_library_are_changed(to, tmp_path):
    path = convert(zoo.find(DIGITS).weights, tmp_path / 'net.pth', to).path
    plain = torch.load(path, weights_only=True)
    got = load_checkpoint(get_model(DIGITS), str(path))
    expected = torch.load(zoo.find(DIGITS).weights, weights_only=True)['state_dict']
    renamed = got.get('state_dict', got)
    assert renamed.keys() == expected.keys()
    assert ('state_dict' in got) == ('state_dict' in plain)
    assert all(torch.equal(renamed[key], expected[key]) for key in expected)


def test_the_home_folder_is_found_as_in_mmengine(tmp_path, monkeypatch, weights):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(weights, tmp_path / 'net.pth')
    assert CheckpointLoader.load_checkpoint('~/net.pth').keys() == weights.keys()


def test_the_readers_have_the_names_of_mmengines(capsys, weights, tmp_path):
    path = tmp_path / 'net.pth'
    torch.save(weights, path)
    loader = CheckpointLoader._get_checkpoint_loader
    assert loader(str(path)).__name__ == 'load_from_local'
    assert loader('https://host/net.pth').__name__ == 'load_from_http'


def test_a_url_is_downloaded_to_the_given_folder(server, weights, tmp_path):
    torch.save(weights, server.folder / 'net.pth')
    from mmconvmixer.zoo.mmengine_loaders import load_from_http
    assert load_from_http(f'{server.url}/net.pth', model_dir=str(tmp_path)).keys() == (
        weights.keys())
    assert [path.name for path in Path(tmp_path).rglob('*.pth')] == ['net.pth']


@pytest.mark.parametrize('map_location', ['cpu', torch.device('cpu'), None,
                                          lambda storage, location: storage])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_every_form_of_a_device_is_taken(map_location, suffix, tmp_path):
    path = convert(zoo.find(DIGITS).weights, tmp_path / f'net{suffix}').path
    got = CheckpointLoader.load_checkpoint(str(path), map_location)
    assert all(value.device.type == 'cpu' for value in got['state_dict'].values())

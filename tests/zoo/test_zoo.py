import hashlib
from pathlib import Path

import mmpretrain
import pytest
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmpretrain.apis.model import ModelHub
from mmpretrain.models.backbones.convmixer import ConvMixer as TheirConvMixer
from mmpretrain.registry import MODELS

from mmconvmixer import get_model, list_models, zoo
from mmconvmixer.errors import CheckpointNotFound
from mmconvmixer.models import ConvMixer
from mmconvmixer.registration import register, unregister
from mmconvmixer.replacements import ENTRIES

CONFIGS = sorted((zoo.package_root() / 'configs/convmixer').glob('*.py'))


@pytest.mark.parametrize('name', zoo.names())
def test_parameters_and_flops_of_the_metafile_are_the_built_models(name):
    import torch
    entry, model = zoo.find(name), get_model(name)
    assert entry.metadata.data['Parameters'] == sum(p.numel() for p in model.parameters())
    backbone = model.backbone
    side = {'in1k': 224, 'cifar10': 32, 'cifar100': 32, 'digits': 8}[name.split('_')[-1]]
    picture = torch.zeros(1, backbone.stem[0].in_channels, side, side)
    flops = FlopAnalyzer(model, (picture,)).unsupported_ops_warnings(False)
    flops.uncalled_modules_warnings(False)
    assert entry.metadata.data['FLOPs'] == flops.total()


@pytest.mark.parametrize('name', zoo.names())
def test_files_named_in_the_metafile_are_there_and_hash_as_they_promise(name):
    entry = zoo.find(name)
    assert Path(entry.config).is_file()
    prefix = entry.data['SHA256']
    assert entry.weights.endswith(f'-{prefix}.pth')
    if '://' not in entry.weights:
        weights = Path(entry.weights)
        assert hashlib.sha256(weights.read_bytes()).hexdigest().startswith(prefix)
        assert weights.stat().st_size < 3e6
        get_model(name, pretrained=True)


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds_its_model_and_reads_as_its_name(config):
    model = get_model(config)
    width, depth, *sizes = config.stem.split('_')[0].removeprefix('convmixer-').split('-')
    backbone = model.backbone
    assert (backbone.embed_dims, backbone.depth) == (int(width), int(depth))
    assert sizes in ([], [f'p{backbone.patch_size}', f'k{backbone.kernel_size}'])
    assert model.head.fc.in_features == model.backbone.embed_dims


def test_names_resolve_in_any_case_here_and_in_mmpretrain():
    assert zoo.find('ConvMixer-64-4_DIGITS').name == 'convmixer-64-4_digits'
    assert isinstance(mmpretrain.get_model('ConvMixer-64-4_DIGITS', pretrained=True).backbone,
                      ConvMixer)


def test_mmpretrains_names_lead_to_this_projects_configs():
    config = ModelHub.get('convmixer-768-32_3rdparty_in1k').config
    assert isinstance(config, Config)
    assert config.optim_wrapper.optimizer.eps == 1e-3


def test_registration_can_be_undone():
    unregister()
    try:
        assert MODELS.get('ConvMixer') is TheirConvMixer
        assert 'convmixer-64-4_digits' not in mmpretrain.list_models()
        assert all(registry.module_dict.get(cls.__name__) is not cls
                   for registry, cls in ENTRIES)
    finally:
        register()
    assert MODELS.get('ConvMixer') is ConvMixer
    assert 'convmixer-64-4_digits' in list_models()


def test_a_plain_mmpretrain_config_gets_this_backbone():
    root = Path(mmpretrain.__file__).parent / '.mim/configs/convmixer'
    model = mmpretrain.get_model(str(root / 'convmixer-768-32_10xb64_in1k.py'))
    assert type(model.backbone) is ConvMixer


def test_a_checkpoint_is_found_by_path_name_or_config(tmp_path):
    weights = Path(zoo.find('convmixer-64-4_digits').weights)
    assert zoo.resolve_checkpoint(weights) == weights
    assert zoo.resolve_checkpoint('convmixer-64-4_DIGITS') == weights
    assert zoo.resolve_checkpoint(None, 'x/convmixer-64-4_digits.py') == weights
    with pytest.raises(CheckpointNotFound, match='convmixer-64-4_digits'):
        zoo.resolve_checkpoint('convmixer-64-4_digit')
    with pytest.raises(CheckpointNotFound, match='mine.py'):
        zoo.resolve_checkpoint(None, 'mine.py')

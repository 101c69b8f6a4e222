import hashlib
import re
import shutil
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmpretrain.apis.model import ModelHub

from mmconvmixer import get_model, zoo
from mmconvmixer.checkpoints.download.fetch import cache_name, mirror_name
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound
from mmconvmixer.models import ConvMixer, FeatureExtractor
from mmconvmixer.zoo import index, table

CONFIGS = zoo.package_root() / 'configs'
DIGITS = 'convmixer-64-4_digits'
# The weights of these three models have the same file name, Mixer-B_16.npz.
B16 = ['mlp-mixer-base-p16_flax-sam_in1k', 'mlp-mixer-base-p16_flax_in1k',
       'mlp-mixer-base-p16_flax_in21k']
# The handles of the collections on TF-Hub, and the models' names here.
HANDLES = {
    'rishit-dagli/convmixer-768-32/1': 'convmixer-768-32_3rdparty_in1k',
    'rishit-dagli/convmixer-768-32-fe/1': 'convmixer-768-32_3rdparty_in1k-features',
    'rishit-dagli/convmixer-1024-20/1': 'convmixer-1024-20_3rdparty_in1k',
    'rishit-dagli/convmixer-1024-20-fe/1': 'convmixer-1024-20_3rdparty_in1k-features',
    'rishit-dagli/convmixer-1536-20/1': 'convmixer-1536-20_3rdparty_in1k',
    'rishit-dagli/convmixer-1536-20-fe/1': 'convmixer-1536-20_3rdparty_in1k-features',
    'sayakpaul/mixer_b16_sam_classification/1': 'mlp-mixer-base-p16_flax-sam_in1k',
    'sayakpaul/mixer_b16_sam_fe/1': 'mlp-mixer-base-p16_flax-sam_in1k-features',
    'sayakpaul/mixer_b32_sam_classification/1': 'mlp-mixer-base-p32_flax-sam_in1k',
    'sayakpaul/mixer_b32_sam_fe/1': 'mlp-mixer-base-p32_flax-sam_in1k-features',
    'sayakpaul/mixer_b16_i1k_classification/1': 'mlp-mixer-base-p16_flax_in1k',
    'sayakpaul/mixer_b16_i1k_fe/1': 'mlp-mixer-base-p16_flax_in1k-features',
    'sayakpaul/mixer_l16_i1k_classification/1': 'mlp-mixer-large-p16_flax_in1k',
    'sayakpaul/mixer_l16_i1k_fe/1': 'mlp-mixer-large-p16_flax_in1k-features',
    'sayakpaul/mixer_b16_i21k_classification/1': 'mlp-mixer-base-p16_flax_in21k',
    'sayakpaul/mixer_b16_i21k_fe/1': 'mlp-mixer-base-p16_flax_in21k-features',
    'sayakpaul/mixer_l16_i21k_classification/1': 'mlp-mixer-large-p16_flax_in21k',
    'sayakpaul/mixer_l16_i21k_fe/1': 'mlp-mixer-large-p16_flax_in21k-features',
}


@pytest.mark.parametrize('name', zoo.names())
def test_parameters_and_flops_in_the_metafile_are_those_of_the_built_model(name):
    entry = zoo.find(name)
    with torch.device('meta'):
        model = get_model(name)
    model.to_empty(device='cpu')
    assert entry.metadata.data['Parameters'] == sum(p.numel() for p in model.parameters())
    data, side = next((data, side) for data, side in dict(
        in1k=224, in21k=224, cifar10=32, digits=8).items() if f'_{data}' in name)
    image = torch.zeros(1, 1 if data == 'digits' else 3, side, side)
    flops = FlopAnalyzer(model, (image,)).unsupported_ops_warnings(False)
    flops.uncalled_modules_warnings(False)
    assert entry.metadata.data['FLOPs'] == flops.total()


@pytest.mark.parametrize('name', zoo.names())
def test_files_in_the_metafile_exist_and_have_their_hash(name):
    entry = zoo.find(name)
    assert Path(entry.config).is_file()
    if entry.weights.startswith('https://storage.googleapis.com/mixer_models/'):
        assert entry.weights.endswith('.npz')  # published without a hash
        return
    prefix = entry.data['SHA256']
    assert entry.weights.endswith(f'-{prefix}.pth')
    if '://' not in entry.weights:
        weights = Path(entry.weights)
        assert hashlib.sha256(weights.read_bytes()).hexdigest().startswith(prefix)
        assert weights.stat().st_size < 3e6
        get_model(name, pretrained=True)


@pytest.mark.parametrize(('handle', 'name'), HANDLES.items())
def test_the_handles_of_the_collections_are_names_too(handle, name):
    entry = zoo.find(name)
    assert zoo.find(handle) is zoo.look_up(handle.upper()) is entry
    assert zoo.look_up(f'https://tfhub.dev/{handle}') is entry
    assert ('features' in name) == (mmpretrain.list_models(handle) == [handle]
                                    and ModelHub.get(handle).config.model.head is None)
    twin = zoo.find(name.removesuffix('-features'))
    assert entry.weights == twin.weights
    kind, size, data = re.fullmatch(r'.*/mixer_(.)(\d+)_(sam|i1k|i21k)_.*', handle).groups() if (
        'mixer_' in handle) else ('', '', '')
    if kind:
        folder = dict(sam='sam', i1k='imagenet1k', i21k='imagenet21k')[data]
        assert entry.weights.endswith(f'/{folder}/Mixer-{kind.upper()}_{size}.npz')


@pytest.mark.parametrize('config', sorted(CONFIGS.glob('convmixer/*.py')),
                         ids=lambda path: path.stem)
def test_every_convmixer_config_builds_the_model_in_its_name(config):
    with torch.device('meta'):
        model = get_model(config)
    width, depth, *sizes = config.stem.split('_')[0].removeprefix('convmixer-').split('-')
    backbone = model.backbone
    assert (backbone.embed_dims, backbone.depth) == (int(width), int(depth))
    assert sizes in ([], [f'p{backbone.patch_size}', f'k{backbone.kernel_size}'])
    if config.stem.endswith('_features'):
        assert isinstance(model, FeatureExtractor)
    else:
        assert model.head.fc.in_features == backbone.embed_dims


@pytest.mark.parametrize('config', sorted(CONFIGS.glob('mlp_mixer/*.py')),
                         ids=lambda path: path.stem)
def test_every_mixer_config_builds_the_model_in_its_name(config):
    with torch.device('meta'):
        model = get_model(config)
    size, patch = config.stem.split('_')[0].removeprefix('mlp-mixer-').split('-p')
    assert model.backbone.embed_dims == dict(base=768, large=1024)[size]
    assert model.backbone.patch_size == int(patch)
    assert isinstance(model, FeatureExtractor) == config.stem.endswith('_features')
    assert model(torch.zeros(2, 3, 224, 224, device='meta')).shape[0] == 2


def test_a_config_with_several_weights_has_no_default_ones():
    config = CONFIGS / 'mlp_mixer/mlp-mixer-base-p16_flax_features.py'
    with pytest.raises(CheckpointNotFound, match='no weights are published'):
        get_model(config, pretrained=True)


def test_names_work_in_upper_and_lower_case_here_and_in_mmpretrain():
    assert zoo.find('ConvMixer-64-4_DIGITS').name == 'convmixer-64-4_digits'
    assert isinstance(mmpretrain.get_model('ConvMixer-64-4_DIGITS', pretrained=True).backbone,
                      ConvMixer)


def test_mmpretrains_names_have_this_projects_configs():
    config = ModelHub.get('convmixer-768-32_3rdparty_in1k').config
    assert isinstance(config, Config)
    assert config.optim_wrapper.optimizer.eps == 1e-3


def test_a_plain_mmpretrain_config_gets_this_backbone():
    root = Path(mmpretrain.__file__).parent / '.mim/configs/convmixer'
    model = mmpretrain.get_model(str(root / 'convmixer-768-32_10xb64_in1k.py'))
    assert type(model.backbone) is ConvMixer


def test_a_checkpoint_is_found_by_path_name_or_config(tmp_path):
    weights = Path(zoo.find('convmixer-64-4_digits').weights)
    assert zoo.resolve_checkpoint(weights) == weights
    assert zoo.resolve_checkpoint('convmixer-64-4_DIGITS') == weights
    assert zoo.resolve_checkpoint(None, 'x/configs/convmixer/convmixer-64-4_digits.py') == weights
    with pytest.raises(CheckpointNotFound, match='convmixer-64-4_digits'):
        zoo.resolve_checkpoint('convmixer-64-4_digit')
    with pytest.raises(CheckpointNotFound, match='mine.py'):
        zoo.resolve_checkpoint(None, 'mine.py')


def test_a_config_with_nothing_but_the_name_of_a_published_one_has_no_weights(tmp_path):
    """mmengine writes each run's config into its work directory under the same name."""
    config = Path(zoo.find(DIGITS).config)
    (tmp_path / 'run').mkdir()
    own = tmp_path / 'run' / config.name
    Config.fromfile(config).dump(own)
    assert zoo.find_by_config(config) is zoo.find(DIGITS)
    with pytest.raises(CheckpointNotFound, match='no weights are published'):
        zoo.resolve_checkpoint(None, own)
    with pytest.raises(CheckpointNotFound, match='no weights are published'):
        get_model(own, pretrained=True)


def test_mmpretrains_config_of_a_model_has_its_weights():
    root = Path(mmpretrain.__file__).parent / '.mim/configs/convmixer'
    entry = zoo.find_by_config(root / 'convmixer-768-32_10xb64_in1k.py')
    assert entry is zoo.find('convmixer-768-32_3rdparty_in1k')


def folder_of(name):
    return zoo.find(name).weights.split('/')[-2]


@pytest.mark.parametrize('name', B16)
def test_each_of_the_files_with_one_name_is_found_by_name_address_and_place(name, tmp_path):
    entry, weights = zoo.find(name), zoo.find(name).weights
    elsewhere = tmp_path / 'Mixer-B_16.npz'
    for checkpoint in (name, name.upper(), f'{name}-features', *entry.data['Aliases'], weights):
        assert zoo.find_by_checkpoint(checkpoint, elsewhere) is entry
    for place in (f'{folder_of(name)}/Mixer-B_16.npz', cache_name(weights)):
        path = tmp_path / place
        path.parent.mkdir()
        path.touch()
        assert zoo.find_by_checkpoint(path, path) is entry


def test_a_file_name_of_several_models_is_an_error_that_names_them(tmp_path):
    for path in (tmp_path / 'Mixer-B_16.npz', tmp_path / 'mine/Mixer-B_16.npz'):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        with pytest.raises(BadCheckpoint, match='Give the name of the model') as caught:
            zoo.find_by_checkpoint(path, path)
        assert all(name in str(caught.value) for name in B16)


def test_the_only_file_of_a_name_is_not_proof_either(tmp_path):
    path = tmp_path / 'Mixer-B_32.npz'
    path.touch()
    with pytest.raises(BadCheckpoint, match='mlp-mixer-base-p32_flax-sam_in1k'):
        zoo.find_by_checkpoint(path, path)


def test_a_file_with_a_published_hash_is_found_by_its_content(tmp_path):
    weights = Path(zoo.find(DIGITS).weights)
    renamed, changed = tmp_path / 'renamed.pth', tmp_path / weights.name
    shutil.copy(weights, renamed)
    changed.write_bytes(weights.read_bytes()[:-1] + b'?')
    assert zoo.find_by_checkpoint(renamed, renamed) is zoo.find(DIGITS)
    assert zoo.find_by_checkpoint(changed, changed) is None


@pytest.mark.parametrize('name_in', [cache_name, lambda url: mirror_name(url, promised='')])
def test_no_two_published_files_share_a_place_in_the_cache_or_a_mirror(name_in):
    """An existing file without a published hash is used unchecked."""
    urls = {entry.weights for entry in map(zoo.find, zoo.names()) if '://' in entry.weights}
    assert len({name_in(url) for url in urls}) == len(urls)


def test_a_model_without_weights_has_no_hash_and_an_empty_cell_in_the_table(monkeypatch):
    entry = index.find(DIGITS)
    monkeypatch.setattr(entry, 'weights', None)
    assert index.published_hash(entry) == ''
    row = next(line for line in table.model_table().splitlines() if f'`{DIGITS}`' in line)
    assert row.endswith('|  |')


def test_a_run_of_the_same_name_in_a_mirror_is_not_the_one_at_a_url(
        tmp_path, monkeypatch, server):
    """A mirror has files without a hash by folder and name: right for published ones only."""
    for folder in (tmp_path / 'exp', server.folder / 'exp'):
        folder.mkdir()
        (folder / 'epoch_1.pth').write_text(str(folder))
    monkeypatch.setenv('MMCONVMIXER_MIRROR', str(tmp_path))
    found = zoo.resolve_checkpoint(f'{server.url}/exp/epoch_1.pth')
    assert found.read_text() == str(server.folder / 'exp')


def test_a_folder_with_the_name_of_a_model_is_not_the_model(tmp_path, monkeypatch):
    """A path comes first, so the model's figures are not those of the weights in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / DIGITS).mkdir()
    weights = tmp_path / DIGITS / 'model.safetensors'
    weights.touch()
    path = zoo.resolve_checkpoint(DIGITS)
    assert path == Path(DIGITS)
    assert zoo.find_by_checkpoint(DIGITS, path) is None

"""One size of an architecture cannot be set alone; the error says what can."""
import pytest
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.errors import BadConfig, UnknownArch
from mmconvmixer.zoo import load_config

MIXER = 'mlp-mixer-base-p16_3rdparty_64xb64_in1k'


@pytest.mark.parametrize('key', ['model.backbone.kernel_size', 'model.backbone.arch.kernel_size'])
def test_the_error_names_the_architecture_with_that_size(key):
    with pytest.raises(BadConfig, match='set model.backbone.arch=64/4-p1-k5') as caught:
        load_config('convmixer-64-4_digits', {key: 5})
    arch = str(caught.value).rpartition('=')[2]
    config = load_config('convmixer-64-4_digits', {'model.backbone.arch': arch})
    assert {module.kernel_size for module in get_model(config).modules()
            if isinstance(module, nn.Conv2d)} == {(1, 1), (5, 5)}


def test_several_sizes_and_another_architecture_go_together():
    with pytest.raises(BadConfig, match='embed_dims, depth .* set model.backbone.arch=32/2-p2-k5$'):
        load_config('convmixer-64-4_digits', {
            'model.backbone.arch': '256/8', 'model.backbone.embed_dims': 32,
            'model.backbone.arch.depth': 2})


def test_an_mlp_mixer_needs_all_sizes():
    with pytest.raises(BadConfig) as caught:
        load_config(MIXER, {'model.backbone.tokens_mlp_dims': 100})
    options = str(caught.value).rpartition('set ')[2].split()
    assert options == [f'model.backbone.arch.{each}' for each in (
        '_delete_=True', 'embed_dims=768', 'num_layers=12', 'tokens_mlp_dims=100',
        'channels_mlp_dims=3072')]
    pairs = dict(option.split('=') for option in options)
    config = load_config(MIXER, {key: value == 'True' or int(value)
                                 for key, value in pairs.items()})
    assert config.model.backbone.arch.tokens_mlp_dims == 100


def test_sizes_in_a_dict_are_set_as_usual():
    arch = {f'model.backbone.arch.{key}': value for key, value in dict(
        _delete_=True, embed_dims=8, depth=2, patch_size=2, kernel_size=3).items()}
    config = load_config('convmixer-64-4_digits', arch)
    assert config.model.backbone.arch == dict(embed_dims=8, depth=2, patch_size=2, kernel_size=3)


def test_an_unknown_architecture_is_named():
    with pytest.raises(UnknownArch, match="'64x4' is unknown"):
        load_config('convmixer-64-4_digits', {
            'model.backbone.arch': '64x4', 'model.backbone.depth': 2})

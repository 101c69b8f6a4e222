from pathlib import Path

import mmpretrain
import pytest
import torch
from mmpretrain.models.backbones.mlp_mixer import MlpMixer as MMPretrainMlpMixer
from mmpretrain.registry import MODELS
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.checkpoints import load_weights
from mmconvmixer.errors import CheckpointMismatch, UnknownArch
from mmconvmixer.models import MIXERS, MlpMixer
from mmconvmixer.models.mlp_mixer import resolve_mixer

TINY = dict(embed_dims=8, num_layers=3, tokens_mlp_dims=6, channels_mlp_dims=16)
# In millions, as rounded in the paper's table 1, without a head.
PAPER = {'S/32': 19, 'S/16': 18, 'B/32': 60, 'B/16': 59, 'L/32': 206, 'L/16': 207, 'H/14': 431}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def tiny(img_size=16, **options):
    return MlpMixer(TINY, img_size=img_size, patch_size=4, **options).eval()


def test_results_equal_mmpretrains_for_the_same_weights():
    plugin, host = tiny(), MMPretrainMlpMixer(TINY, img_size=16, patch_size=4)
    host.eval()  # returns None
    plugin.load_state_dict(host.state_dict(), strict=True)
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(plugin(x), host(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('arch', MIXERS)
def test_the_papers_seven_variants_have_the_papers_sizes(arch):
    with torch.device('meta'):
        model = MlpMixer(arch)
    assert f'/{model.patch_size}' in arch
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters / 1e6 == pytest.approx(PAPER[arch], abs=1)


@pytest.mark.parametrize('name, patch_size, meant', [
    ('b', None, 'B/16'), ('base', 32, 'B/32'), ('Large', 16, 'L/16'), ('h', None, 'H/14'),
    ('s/32', None, 'S/32'), ('B/16', 16, 'B/16')])
def test_mmpretrains_names_of_archs_work(name, patch_size, meant):
    assert resolve_mixer(name, patch_size) == resolve_mixer(meant, None)


@pytest.mark.parametrize('arch, patch_size, message', [
    ('b/16', 32, 'patches of 16, but patch_size is 32'),
    ('xl', None, 'Known: S/32, S/16'), ('B/x', None, "arch 'B/x' is unknown"),
    (dict(TINY, depth=2), None, 'exactly the keys'), (TINY, 0.5, 'positive whole number'),
    ('b', 0, 'patch_size must be a positive whole number'),
    (dict(TINY, num_layers=0), None, 'num_layers must be a positive whole number')])
def test_unknown_archs_are_an_error(arch, patch_size, message):
    with pytest.raises(UnknownArch, match=message):
        MlpMixer(arch, patch_size=patch_size)


@pytest.mark.parametrize('indices, picked', [
    (-1, [2]), (0, [0]), ([0, 2], [0, 2]), ((1, -1), [1, 2]), (range(3), [0, 1, 2])])
def test_out_indices_pick_those_blocks(indices, picked):
    model, every = tiny(out_indices=indices), tiny(out_indices=range(3))
    every.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(model(x), tuple(every(x)[index] for index in picked))


@pytest.mark.parametrize('index', [3, -4, 99, 1.5, 'last'])
def test_out_indices_out_of_range_are_an_error(index):
    with pytest.raises(ValueError, match='out_indices'):
        tiny(out_indices=[index])


def test_feature_maps_have_the_orientation_of_the_image():
    """If one patch of the image changes, the map changes at that patch only."""
    model = tiny((8, 16), out_type='featmap', out_indices=0)
    nn.init.zeros_(model.layers[0].token_mix.layers[1].weight)  # patches do not mix
    x = torch.zeros(1, 3, 8, 16)
    plain, = model(x)
    x[..., 4:8, 8:12] = 1
    changed = ((model(x)[0] - plain).abs().amax(1) > 1e-6)[0]
    assert plain.shape == (1, 8, 2, 4)
    assert changed.nonzero().tolist() == [[1, 2]]


def test_raw_output_and_feature_maps_hold_the_same_numbers():
    raw, maps = tiny((8, 16)), tiny((8, 16), out_type='featmap')
    maps.load_state_dict(raw.state_dict())
    x = torch.randn(2, 3, 8, 16)
    torch.testing.assert_close(raw(x)[0].unflatten(2, (2, 4)), maps(x)[0], rtol=0, atol=0)


@pytest.mark.parametrize('img_size, nearest', [(18, '16 x 16'), ((16, 15), '16 x 16'),
                                               (2, '4 x 4')])
def test_image_sizes_that_are_not_a_whole_number_of_patches_are_an_error(img_size, nearest):
    with pytest.raises(ValueError, match=f'whole number of patches of 4; nearest: {nearest}'):
        tiny(img_size)


@pytest.mark.parametrize('img_size', ['16', [16], (16, 16, 16), 16.5])
def test_image_sizes_of_the_wrong_type_are_an_error(img_size):
    with pytest.raises(ValueError, match='img_size takes a whole number or a pair'):
        tiny(img_size)


def test_images_of_another_size_than_the_networks_are_an_error():
    with pytest.raises(ValueError, match='images are 16 x 20, but .* for 16 x 16'):
        tiny()(torch.zeros(1, 3, 16, 20))


def test_an_unknown_out_type_is_an_error():
    with pytest.raises(ValueError, match="out_type is 'map', expected one of raw, featmap"):
        tiny(out_type='map')


def test_eval_and_train_return_the_model():
    model = tiny()
    assert model.train() is model and model.eval() is model


def test_weights_for_another_grid_are_refused_without_interpolate_tokens():
    with pytest.raises(CheckpointMismatch, match='6 with another shape|9 with another shape'):
        load_weights(tiny(24), tiny(16).state_dict(), 'small.pth')


def test_interpolation_does_not_change_weights_for_the_same_grid():
    small = tiny(16)
    same = tiny(16, interpolate_tokens=True)
    load_weights(same, small.state_dict(), 'small.pth')
    torch.testing.assert_close(same.state_dict(), small.state_dict(), rtol=0, atol=0)


def test_interpolation_works_when_weights_fit_only_in_part():
    weights = dict(tiny(16).state_dict(), extra=torch.zeros(1))
    large = tiny(24, interpolate_tokens=True)
    before = large.layers[0].token_mix.layers[0][0].weight.clone()
    with pytest.raises(CheckpointMismatch, match='1 not in the network .extra.') as error:
        load_weights(large, weights, 'small.pth')
    assert 'another shape' not in str(error.value)
    load_weights(large, weights, 'small.pth', strict=False)
    assert not torch.equal(large.layers[0].token_mix.layers[0][0].weight, before)
    torch.testing.assert_close(large.layers[0].ln1.bias, weights['layers.0.ln1.bias'])


def test_an_interpolated_network_gives_similar_features_for_a_smooth_image():
    """The image is twice as large and has twice as many patches a side, with the same content."""
    small, large = tiny(32), tiny(64, interpolate_tokens=True)
    with torch.no_grad():  # token-mixing weights that vary slowly over the grid
        ramp = torch.linspace(-1, 1, 8)
        for block in small.layers:
            first, second = block.token_mix.layers[0][0], block.token_mix.layers[1]
            for row in range(len(first.weight)):
                smooth = torch.cos(ramp * row)[:, None] * torch.sin(ramp + row)
                first.weight[row] = smooth.flatten() / 8
                second.weight[:, row] = smooth.T.flatten()
            second.bias.copy_((ramp[:, None] * ramp).flatten())
    load_weights(large, small.state_dict(), 'small.pth')
    steps = torch.linspace(-1, 1, 8)
    field = torch.stack([steps[:, None] * steps, steps[:, None] + steps,
                         torch.cos(2 * steps)[:, None] * steps])

    def blocks(side):  # each patch has one color, so that the patch embedding sees no edges
        return nn.functional.interpolate(field[None], side, mode='bicubic').repeat_interleave(
            4, 2).repeat_interleave(4, 3)

    old, = small(blocks(8))
    new, = large(blocks(16))
    error = (new.mean(2) - old.mean(2)).norm() / old.mean(2).norm()
    assert error < 0.1
    unscaled = tiny(64)
    state = large.state_dict()
    for key in state:
        if key.endswith('token_mix.layers.0.0.weight'):
            state[key] = state[key] * 4  # without the scaling by N_old / N_new
    unscaled.load_state_dict(state)
    assert (unscaled(blocks(16))[0].mean(2) - old.mean(2)).norm() / old.mean(2).norm() > 2 * error


def test_layer_depths_are_those_of_the_blocks():
    model = tiny()
    depths = {name: model.get_layer_depth(f'backbone.{name}', 'backbone.')
              for name in ('patch_embed.projection.weight', 'layers.0.ln1.weight',
                           'layers.2.channel_mix.layers.1.bias', 'ln1.weight')}
    assert list(depths.values()) == [(0, 5), (1, 5), (3, 5), (4, 5)]
    assert model.get_layer_depth('head.fc.weight', 'backbone.') == (4, 5)


def test_mmpretrains_own_configs_and_names_build_this_backbone():
    assert MODELS.get('MlpMixer') is MlpMixer
    root = Path(mmpretrain.__file__).parent / '.mim/configs/mlp_mixer'
    with torch.device('meta'):
        plain = mmpretrain.get_model(str(root / 'mlp-mixer-base-p16_64xb64_in1k.py'))
        named = get_model('mlp-mixer-large-p16_3rdparty_64xb64_in1k')
    for model, parameters in ((plain, 59_880_472), (named, 208_196_168)):
        assert type(model.backbone) is MlpMixer
        assert sum(parameter.numel() for parameter in model.parameters()) == parameters
        assert model(torch.zeros(2, 3, 224, 224, device='meta')).shape == (2, 1000)

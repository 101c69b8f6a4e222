"""Conversion from any library's names and file format to any other's and back."""
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.checkpoints import (
    build_model,
    load_weights,
    read_checkpoint,
    state_dict_of,
)
from mmconvmixer.checkpoints.architecture import ConvMixerShape, MixerShape, read_architecture
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.errors import BadCheckpoint, BadConfig

CLASSES = ['cat', 'dog', 'eel']
SHAPES = {'ConvMixer': ConvMixerShape(12, 3, 4, 5, 3, 3),
          'MLP-Mixer': MixerShape(12, 2, 8, 32, 5, 20, 3)}
# The formats that each family can be written in, with a suffix.
FORMATS = {
    'ConvMixer': [('mmpretrain', '.pth'), ('timm', '.pth'), ('timm', '.safetensors'),
                  ('official', '.pth.tar'), ('official', '.npz'), ('safetensors', '.safetensors')],
    'MLP-Mixer': [('mmpretrain', '.pth'), ('timm', '.pth'), ('timm', '.npz'), ('flax', '.npz'),
                  ('flax', '.safetensors'), ('safetensors', '.safetensors')],
}
PAIRS = [(family, first, second) for family, formats in FORMATS.items()
         for first in formats for second in formats]


def network(family):
    torch.manual_seed(0)
    if family == 'ConvMixer':
        backbone = dict(type='ConvMixer', arch=dict(
            embed_dims=12, depth=3, patch_size=4, kernel_size=5))
    else:
        backbone = dict(type='MlpMixer', img_size=32, patch_size=8, arch=dict(
            embed_dims=12, num_layers=2, tokens_mlp_dims=5, channels_mlp_dims=20))
    return build_model(dict(
        type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=12)))


@pytest.fixture
def source(tmp_path):
    """Write the checkpoint of a family as training does."""
    def write(family, **more):
        weights = {key: torch.randn_like(value) if value.is_floating_point() else value + 7
                   for key, value in network(family).state_dict().items()}
        path = tmp_path / 'source.pth'
        torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=CLASSES)),
                        **more), path)
        return path, weights
    return write


def weights_of(path):
    return state_dict_of(read_checkpoint(path), str(path))


def same_bits(got, expected):
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        assert got[key].dtype == value.dtype and torch.equal(got[key], value), key


@pytest.mark.parametrize('family, first, second', PAIRS, ids=str)
def test_every_bit_survives_any_two_formats_and_the_way_back(
        source, tmp_path, family, first, second):
    path, weights = source(family)
    for to, suffix in (first, second, ('mmpretrain', '.pth')):
        converted = convert(path, tmp_path / f'{to}{suffix}', to)
        assert converted.shape == SHAPES[family]
        path = converted.path
        same_bits(weights_of(path), weights)


@pytest.mark.parametrize('family', FORMATS)
def test_the_architecture_is_read_off_the_tensors(source, family):
    path, _ = source(family)
    assert read_architecture(weights_of(path)) == SHAPES[family]
    assert not re.search(r'None|\(', str(SHAPES[family]))


def test_mmpretrains_file_is_named_by_its_content_and_keeps_the_classes(source, tmp_path):
    path, _ = source('ConvMixer')
    written = convert(path, tmp_path / 'out' / 'net.pth').path
    digest = hashlib.sha256(written.read_bytes()).hexdigest()
    assert written == tmp_path / 'out' / f'net-{digest[:8]}.pth'
    assert read_checkpoint(written)['meta']['dataset_meta'] == dict(classes=CLASSES)
    assert convert(path, tmp_path / 'out' / 'net.pth').path == written
    assert [each.name for each in written.parent.iterdir()] == [written.name]


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float32'])
def test_weights_are_rounded_and_counts_are_not(source, tmp_path, dtype):
    path, weights = source('ConvMixer')
    got = weights_of(convert(path, tmp_path / 'net.safetensors', 'timm', dtype=dtype).path)
    for key, value in weights.items():
        rounded = value.to(getattr(torch, dtype)) if value.is_floating_point() else value
        assert torch.equal(got[key], rounded) and got[key].dtype == rounded.dtype


def test_numpy_has_no_bfloat16(source, tmp_path):
    path, _ = source('MLP-Mixer')
    with pytest.raises(BadConfig, match='no bfloat16.*use dtype float32'):
        convert(path, tmp_path / 'net.npz', 'flax', dtype='bfloat16')
    assert [each.name for each in tmp_path.iterdir()] == ['source.pth']


def test_a_head_is_left_out_on_request(source, tmp_path):
    path, weights = source('MLP-Mixer')
    written = convert(path, tmp_path / 'net.npz', 'flax', strip_head=True).path
    assert weights_of(written).keys() == {key for key in weights if not key.startswith('head')}
    assert read_architecture(weights_of(written)).num_classes is None


def test_averaged_weights_are_preferred_refused_or_required(source, tmp_path):
    path, weights = source('ConvMixer')
    average = {key: value + 1 for key, value in weights.items()}
    with pytest.raises(BadCheckpoint, match='no averaged weights; expected the key state_dict_ema'):
        convert(path, tmp_path / 'net.pth', ema=True)
    path, weights = source('ConvMixer', state_dict_ema=average)
    for ema, expected in ((None, average), (True, average), (False, weights)):
        converted = convert(path, tmp_path / f'{ema}.pth', ema=ema)
        assert converted.averaged == (ema is not False)
        same_bits(weights_of(converted.path), expected)


@pytest.mark.parametrize('given, act, where', [
    ('ReLU', 'ReLU', '--act'), (None, 'GELU', "the paper's default")])
def test_the_activation_comes_with_how_it_is_known(source, tmp_path, given, act, where):
    path, _ = source('ConvMixer')
    converted = convert(path, tmp_path / 'net.pth', act=given)
    assert converted.act == act and converted.act_from.startswith(where)
    again = convert(converted.path, tmp_path / 'again.pth')
    assert (again.act, again.act_from) == (act, "the file's meta")


def test_a_guessed_activation_is_not_warned_of_and_a_given_one_is(source, tmp_path, warned):
    path, _ = source('ConvMixer')
    model = build_model(dict(
        type='ImageClassifier', neck=dict(type='GlobalAveragePooling'),
        backbone=dict(type='ConvMixer', act_cfg=dict(type='ReLU'), arch=dict(
            embed_dims=12, depth=3, patch_size=4, kernel_size=5)),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=12)))
    for act in (None, 'GELU'):
        converted = convert(path, tmp_path / 'net.pth', act=act)
        load_weights(model, state_dict_of(read_checkpoint(converted.path)), 'net.pth')
    message, = warned
    assert 'net.pth was trained with GELU, and the model has ReLU' in message


def test_the_activation_of_a_size_in_the_zoo_is_the_zoos(tmp_path):
    """768/32 was trained with ReLU, which its tensors don't show."""
    weights = build_model(dict(
        type='ImageClassifier', backbone=dict(type='ConvMixer', arch='768/32'))).state_dict()
    torch.save(weights, tmp_path / 'net.pth')
    converted = convert(tmp_path / 'net.pth', tmp_path / 'timm.pth', 'timm', dtype='float16')
    assert (converted.act, converted.act_from) == (
        'ReLU', "the zoo's 768/32, which has these sizes")


@pytest.mark.parametrize('family, to', [('ConvMixer', 'flax'), ('MLP-Mixer', 'official')])
def test_a_family_that_a_library_does_not_have_is_an_error(source, tmp_path, family, to):
    path, _ = source(family)
    with pytest.raises(BadConfig, match=f'{family} has no {to} format; use another of'):
        convert(path, tmp_path / 'net.x', to)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({'conv1.weight': torch.ones(3)}, tmp_path / 'resnet.pth')
    said = 'not a ConvMixer or MLP-Mixer.*begins with conv1.weight'
    with pytest.raises(BadCheckpoint, match=said):
        convert(tmp_path / 'resnet.pth', tmp_path / 'net.pth')


@pytest.mark.parametrize('family, key', [
    ('ConvMixer', 'backbone.stages.1.1.weight'),
    ('MLP-Mixer', 'backbone.layers.1.token_mix.layers.1.weight')])
@pytest.mark.parametrize('change', ['missing', 'of another size'])
def test_an_incomplete_network_is_refused(source, tmp_path, family, key, change):
    path, weights = source(family)
    if change == 'missing':
        weights = {name: value for name, value in weights.items() if name != key}
    else:
        weights[key] = weights[key][:-1]
    torch.save(weights, path)
    with pytest.raises(BadCheckpoint, match=f'not a complete {family}: {key} is'):
        convert(path, tmp_path / 'net.pth')


@pytest.mark.parametrize('family', FORMATS)
@pytest.mark.parametrize('change', ['missing', 'whole numbers', 'no dimension'])
def test_every_weight_is_checked(source, tmp_path, family, change):
    path, weights = source(family)
    for key in (key for key in weights if 'num_batches' not in key):
        changed = dict(weights)
        if change == 'missing':
            del changed[key]
            if key in ('head.fc.weight', 'backbone.stem.0.weight',
                       'backbone.stages.0.0.fn.0.weight'):
                continue  # other checks report this first
        else:
            changed[key] = (weights[key].long() if change == 'whole numbers'
                            else torch.tensor(1.))
        torch.save(changed, path)
        with pytest.raises(BadCheckpoint):
            convert(path, tmp_path / 'net.pth')


def test_two_names_of_one_weight_are_refused(source, tmp_path):
    path, weights = source('ConvMixer')
    timm_names = torch.load(convert(path, tmp_path / 'timm.pth', 'timm').path)['state_dict']
    torch.save({**timm_names, 'backbone.stem.2.bias': torch.ones(12)}, path)
    with pytest.raises(BadCheckpoint, match='two tensors for one weight: backbone.stem.2.bias'):
        weights_of(path)


def test_a_number_too_large_for_float16_is_an_error(source, tmp_path):
    path, weights = source('ConvMixer')
    weights['backbone.stem.2.running_var'][0] = 1e5
    torch.save(weights, path)
    with pytest.raises(BadConfig, match='running_var contains 100000, too large for float16'):
        convert(path, tmp_path / 'net.pth', dtype='float16')
    assert convert(path, tmp_path / 'net.pth', dtype='bfloat16')


def test_the_numerics_of_the_weights_library_are_recorded(source, tmp_path):
    """By their names alone, weights from flax in timm's names would be timm's."""
    path, _ = source('MLP-Mixer')
    assert weights_of(path).numerics is None
    flax = convert(path, tmp_path / 'net.npz', 'flax').path
    for to, suffix in FORMATS['MLP-Mixer']:
        if suffix == '.npz':
            continue  # it has no metadata to record this in
        assert weights_of(convert(flax, tmp_path / f'a{suffix}', to).path).numerics == 'flax'
        timm = convert(path, tmp_path / f'b{suffix}', to).path
        assert weights_of(timm).numerics is None


@pytest.mark.parametrize('family, to, suffix', [
    (family, *target) for family, targets in FORMATS.items() for target in targets])
def test_the_same_weights_always_give_the_same_bytes(source, tmp_path, family, to, suffix):
    path, _ = source(family)
    first, second = (convert(path, tmp_path / folder / f'net{suffix}', to).path.read_bytes()
                     for folder in 'ab')
    assert first == second


def test_a_file_whose_checksum_has_lost_its_name_is_refused(source, tmp_path):
    path, _ = source('ConvMixer')
    converted = convert(path, tmp_path / 'net.safetensors').path
    content = converted.read_bytes()
    assert b'"sha256_of_the_rest"' in content
    converted.write_bytes(content.replace(b'sha256_of_the_rest', b'sha256_of_the_lest'))
    with pytest.raises(BadCheckpoint, match='damaged: the checksum'):
        read_checkpoint(converted)


def test_weights_that_share_memory_are_written_each_by_itself(source, tmp_path):
    path, weights = source('ConvMixer')
    weights['backbone.stem.2.bias'] = weights['backbone.stem.2.weight']
    torch.save(weights, path)
    same_bits(weights_of(convert(path, tmp_path / 'net.safetensors').path), weights)


def test_parameters_and_prefixes_make_no_difference(source, tmp_path):
    path, weights = source('MLP-Mixer')
    torch.save({f'module._orig_mod.{key}': torch.nn.Parameter(value)
                for key, value in weights.items()}, path)
    same_bits(weights_of(convert(path, tmp_path / 'net.npz', 'flax').path), weights)


def test_the_name_of_a_file_makes_no_difference(source, tmp_path):
    path, weights = source('MLP-Mixer')
    for to, suffix in FORMATS['MLP-Mixer']:
        written = Path(convert(path, tmp_path / f'net{suffix}', to).path)
        same_bits(weights_of(written.rename(tmp_path / 'weights.jpg')), weights)


def test_get_model_reads_every_format(tmp_path):
    digits = get_model('convmixer-64-4_digits', pretrained=True)
    path = tmp_path / 'digits.pth'
    torch.save(digits.state_dict(), path)
    for to, suffix in FORMATS['ConvMixer']:
        written = convert(path, tmp_path / f'{to}{suffix}', to).path
        model = get_model('convmixer-64-4_digits', pretrained=str(written))
        same_bits(model.state_dict(), digits.state_dict())


def test_flax_numbers_are_those_of_numpy_savez(source, tmp_path):
    """flax stores kernels with the input axis first."""
    path, weights = source('MLP-Mixer')
    with np.load(convert(path, tmp_path / 'net.npz', 'flax').path) as arrays:
        stem = weights['backbone.patch_embed.projection.weight']
        np.testing.assert_array_equal(arrays['stem/kernel'], stem.permute(2, 3, 1, 0))
        np.testing.assert_array_equal(arrays['head/kernel'], weights['head.fc.weight'].T)

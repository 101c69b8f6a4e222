import copy

import pytest
import torch
from mmengine.model import BaseTTAModel
from torch import nn

import mmconvmixer  # noqa: F401, registers ConvMixer
from mmconvmixer.checkpoints import build_model, load_weights
from mmconvmixer.errors import BadConfig, CheckpointMismatch, UnknownArch

CLASSIFIER = dict(
    type='ImageClassifier',
    backbone=dict(type='ConvMixer', arch='8/2-p4-k3'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=8))


def net(classes=10, depth=1):
    """A network with the weights 0.weight.. of `depth` convolutions, norm.* and head.*."""
    model = nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(depth)))
    model.add_module('norm', nn.BatchNorm2d(4))
    model.add_module('head', nn.Linear(4, classes))
    return model


def state(model):
    return copy.deepcopy(model.state_dict())


def test_weights_that_fit_are_loaded_without_a_warning(warned):
    model, weights = net(), state(net())
    load_weights(model, weights, 'x.pth')
    torch.testing.assert_close(state(model), weights, rtol=0, atol=0)
    assert warned == []


def test_the_given_weights_are_copied_not_shared():
    model, weights = net(), state(net())
    before = copy.deepcopy(weights)
    load_weights(model, weights, 'x.pth')
    nn.init.zeros_(model.head.weight)
    torch.testing.assert_close(weights, before, rtol=0, atol=0)


def mismatches():
    missing = state(net(depth=1))
    renamed = {f'old.{key}': value for key, value in state(net(depth=2)).items()}
    both = {**state(net(7, depth=2)), 'extra.bias': torch.ones(2)}
    del both['norm.bias']
    return [
        pytest.param(state(net(7, depth=2)), [
            '2 with another shape', 'head.weight (7, 4) where the network has (10, 4)',
            'head.bias (7,) where the network has (10,)'], id='class count'),
        pytest.param(missing, ['2 missing', '1.weight, 1.bias'], id='one block too few'),
        pytest.param(state(net(depth=3)), ['2 not in the network', '2.weight, 2.bias'],
                     id='one block too many'),
        pytest.param(both, ['2 with another shape', '1 missing (norm.bias)',
                            '1 not in the network (extra.bias)'], id='all three'),
        pytest.param(renamed, ['11 not in the network', 'old.0.weight',
                               '10 missing', 'and 7 more'], id='all renamed'),
        pytest.param({}, ['missing'], id='nothing'),
    ]


@pytest.mark.parametrize('weights, said', mismatches())
def test_a_mismatch_names_keys_and_shapes_and_loads_nothing(weights, said):
    model = net(depth=2)
    before = state(model)
    with pytest.raises(CheckpointMismatch, match='x.pth does not fit') as caught:
        load_weights(model, weights, 'x.pth')
    message = str(caught.value)
    assert all(part in message for part in said), message
    # Where weights are missing, --no-strict would leave a part of the network random.
    only_extra = '2 not in the network' in message and 'missing' not in message
    assert ('--no-strict' in message) == only_extra and '\n' not in message
    assert len(message) < 700
    torch.testing.assert_close(state(model), before, rtol=0, atol=0)


@pytest.mark.parametrize('weights, said', mismatches())
def test_without_strict_what_fits_is_loaded_and_the_rest_is_named(weights, said, warned):
    model = net(depth=2)
    before = state(model)
    load_weights(model, weights, 'x.pth', strict=False)
    expected = {key: weights[key] if key in weights and weights[key].shape == value.shape
                else value for key, value in before.items()}
    torch.testing.assert_close(dict(state(model)), expected, rtol=0, atol=0)
    warning, = warned
    assert all(part in warning for part in said), warning


class Wrapped(BaseTTAModel):
    """Test-time augmentation around a network."""

    def merge_preds(self, data_samples_list):
        return data_samples_list


def test_the_network_in_a_wrapper_gets_the_weights():
    inner, weights = build_model(CLASSIFIER), state(build_model(CLASSIFIER))
    load_weights(Wrapped(inner), weights, 'x.pth')
    torch.testing.assert_close(state(inner), weights, rtol=0, atol=0)


def test_a_network_may_rename_weights_while_loading():
    """mmpretrain's Vision Transformers do this with old position embeddings."""
    def rename(state_dict, prefix, *_):
        if 'old.weight' in state_dict:
            state_dict['head.weight'] = state_dict.pop('old.weight')

    model, weights = net(), state(net())
    model._register_load_state_dict_pre_hook(rename)
    expected = copy.deepcopy(weights)
    weights['old.weight'] = weights.pop('head.weight')
    given = list(weights)
    load_weights(model, weights, 'x.pth')
    torch.testing.assert_close(state(model), expected, rtol=0, atol=0)
    assert list(weights) == given


def test_half_precision_weights_are_loaded_into_a_float_network():
    model = net()
    weights = {key: value.half() if value.is_floating_point() else value
               for key, value in state(net()).items()}
    load_weights(model, weights, 'x.pth')
    assert model.head.weight.dtype == torch.float32
    assert torch.equal(model.head.weight, weights['head.weight'].float())


def test_weights_older_than_the_count_of_batches_fit():
    """torch 0.4 had no num_batches_tracked; torch adds it when it loads."""
    model, weights = net(), state(net())
    del weights['norm.num_batches_tracked']
    weights._metadata['norm']['version'] = 1
    load_weights(model, weights, 'x.pth')
    assert torch.equal(model.head.weight, weights['head.weight'])


def test_a_frozen_network_can_be_loaded_too():
    model, weights = net().requires_grad_(False), state(net())
    load_weights(model, weights, 'x.pth')
    torch.testing.assert_close(state(model), weights, rtol=0, atol=0)


def test_building_a_network_does_not_change_its_config():
    config = copy.deepcopy(CLASSIFIER)
    model = build_model(config)
    assert config == CLASSIFIER
    weights = state(model)
    load_weights(build_model(config), weights, 'x.pth')
    weights['head.fc.weight'] = weights['head.fc.weight'][:7]
    with pytest.raises(CheckpointMismatch, match=r'head.fc.weight \(7, 8\).*\(10, 8\)'):
        load_weights(model, weights, 'x.pth')


@pytest.mark.parametrize('wrong, said', [
    (dict(type='ImageClasifier'), 'ImageClasifier'),
    (dict(backbone=dict(type='ConvMixer', arch='8/2-p4-k3', deth=3)), 'deth'),
    (dict(backbone=dict(type='ConvMixer', arch='8x2')), '8x2')])
def test_a_config_that_cannot_be_built_is_an_error_that_names_the_cause(wrong, said):
    with pytest.raises(ValueError, match=said) as caught:
        build_model({**CLASSIFIER, **wrong})
    assert isinstance(caught.value, BadConfig | UnknownArch)

import pytest
import torch

from mmconvmixer import get_model, zoo
from mmconvmixer.checkpoints import load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.new_head import describe_head, with_own_head
from mmconvmixer.errors import BadConfig, CheckpointMismatch

DIGITS = 'convmixer-64-4_digits'


@pytest.fixture(scope='module')
def weights():
    return state_dict_of(read_checkpoint(zoo.find(DIGITS).weights))


@pytest.fixture
def seven():
    torch.manual_seed(0)
    return get_model(DIGITS, head=dict(num_classes=7))


def test_all_but_the_head_is_loaded(weights, seven):
    before = seven.head.fc.weight.clone()
    own = with_own_head(seven, weights)
    load_weights(seven, own, 'digits')
    assert torch.equal(seven.head.fc.weight, before)
    backbone = {key: value for key, value in seven.state_dict().items() if 'backbone' in key}
    assert backbone and all(torch.equal(value, weights[key]) for key, value in backbone.items())
    assert (describe_head(weights), describe_head(own)) == ('10 classes', '7 classes')
    assert own.layout == weights.layout and own.family == 'ConvMixer'


def test_a_head_with_the_same_classes_is_replaced_too(weights):
    model = get_model(DIGITS)
    load_weights(model, with_own_head(model, weights), 'digits')
    assert not torch.equal(model.head.fc.weight, weights['head.fc.weight'])


def test_weights_without_a_head_load_too(weights, seven):
    features = {key: value for key, value in weights.items() if not key.startswith('head.')}
    load_weights(seven, with_own_head(seven, features), 'digits')
    assert describe_head(features) == 'no head'


@pytest.mark.parametrize('spoil, said', [
    (lambda w: w.pop('backbone.stem.0.bias'), 'missing .backbone.stem.0.bias'),
    (lambda w: w.update({'backbone.stem.0.bias': torch.ones(3)}), 'with another shape'),
    (lambda w: w.update({'neck.fc.bias': torch.ones(3)}), 'not in the network .neck.fc.bias')])
def test_the_other_weights_still_have_to_fit(weights, seven, spoil, said):
    wrong = dict(weights)
    spoil(wrong)
    with pytest.raises(CheckpointMismatch, match=said):
        load_weights(seven, with_own_head(seven, wrong), 'digits')


def test_a_network_without_a_head_is_named(weights):
    model = get_model(DIGITS)
    model.head = None
    with pytest.raises(BadConfig, match='new_head'):
        with_own_head(model, weights)

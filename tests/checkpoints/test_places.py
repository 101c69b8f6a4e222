"""Which weights of a checkpoint are read, and what the log says of the others."""
import logging

import pytest
import torch

from mmconvmixer.checkpoints import state_dict_of
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.errors import BadCheckpoint
from mmconvmixer.models import ConvMixer

LAST, AVERAGE, OTHER = 1., 2., 3.


@pytest.fixture(scope='module')
def weights():
    """Make the weights of a ConvMixer, with a number in one of them."""
    net = {f'backbone.{key}': value
           for key, value in ConvMixer(arch='4/2-p2-k3').state_dict().items()}

    def make(number, prefix='', **more):
        own = {**net, 'backbone.stem.0.bias': torch.full((4,), number)}
        timm = layout_named('timm', 'ConvMixer').from_mmpretrain(own)
        return {**{prefix + key: value for key, value in timm.items()}, **more}
    return make


@pytest.fixture
def read(monkeypatch):
    """Return the number in the weights that are read, and the lines of the log."""
    lines = []
    monkeypatch.setattr('mmconvmixer.checkpoints.weights.print_log',
                        lambda text, logger, level: lines.append((level, text)))

    def state_dict(checkpoint, ema=None):
        lines.clear()
        found = state_dict_of(checkpoint, 'net.pth', ema)
        return float(found['backbone.stem.0.bias'][0]), found.averaged, [*lines]
    return state_dict


@pytest.mark.parametrize('place', ['state_dict', 'model', 'net'])
@pytest.mark.parametrize('key', ['ema_state_dict', 'ema_model', 'modelEMA', 'swa_model',
                                 'model_averaged', 'avg_model'])
def test_averages_beside_the_weights_are_named_with_how_to_get_them(read, weights, place, key):
    checkpoint = {place: weights(LAST), key: weights(AVERAGE), 'epoch': 3}
    number, averaged, lines = read(checkpoint)
    assert (number, averaged) == (LAST, False)
    assert lines == [(logging.INFO, f'net.pth: reads the weights in {place}, and not those in '
                                    f'{key}; tools/convert_checkpoint.py --ema (ema=True) takes '
                                    'the others')]
    assert read(checkpoint, ema=True)[:2] == (AVERAGE, True)
    assert read(checkpoint, ema=False)[:2] == (LAST, False)


@pytest.mark.parametrize('key', ['state_dict_ema', 'model_ema', 'ema'])
def test_weights_beside_the_averages_are_named_too(read, weights, key):
    checkpoint = {'state_dict': weights(LAST), key: weights(AVERAGE), 'ema_copy': weights(OTHER)}
    number, averaged, ((level, text),) = read(checkpoint)
    assert (number, averaged, level) == (AVERAGE, True, logging.INFO)
    assert f'weights averaged over the training in {key}, and not those in state_dict, ema_copy; ' \
           'tools/convert_checkpoint.py --no-ema' in text


def test_mmengine_exchanges_the_averages_with_the_weights(read, weights):
    checkpoint = dict(meta=dict(mmengine_version='0.10.7'), state_dict=weights(AVERAGE),
                      ema_state_dict=weights(LAST, 'module.', steps=torch.tensor(4)))
    number, averaged, ((_, text),) = read(checkpoint)
    assert (number, averaged) == (AVERAGE, True)
    assert 'averaged over the training in state_dict, and not those in ema_state_dict' in text
    assert read(checkpoint, ema=True)[:2] == (AVERAGE, True)
    assert read(checkpoint, ema=False)[:2] == (LAST, False)


def test_averages_are_read_if_there_is_nothing_else(read, weights):
    assert read(dict(ema_state_dict=weights(AVERAGE), epoch=3)) == (AVERAGE, True, [])
    with pytest.raises(BadCheckpoint, match='holds no weights'):
        read(dict(ema_state_dict=weights(AVERAGE)), ema=False)


def test_of_several_averages_none_is_taken_on_request(read, weights):
    checkpoint = dict(state_dict=weights(LAST), ema_slow=weights(AVERAGE), ema_fast=weights(OTHER))
    assert read(checkpoint)[0] == LAST
    with pytest.raises(BadCheckpoint, match='ema_slow, ema_fast; it is unclear which'):
        read(checkpoint, ema=True)


@pytest.mark.parametrize('checkpoint', [
    {}, dict(epoch=3), dict(optimizer=dict(state={}), ema_decay=0.99),
    dict(model=dict(x=torch.ones(1)), ema_rates=torch.ones(2))])
def test_what_is_no_average_is_not_named(read, weights, checkpoint):
    assert read(dict(checkpoint, state_dict=weights(LAST))) == (LAST, False, [])

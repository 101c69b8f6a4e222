"""Weights load whatever a training framework put around them, and the log says so."""
import copy
import logging

import pytest
import torch
from mmengine.model import ExponentialMovingAverage, StochasticWeightAverage
from torch import nn
from torch.optim.swa_utils import AveragedModel

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.errors import BadCheckpoint, CheckpointMismatch

NET = dict(type='ImageClassifier',
           backbone=dict(type='ConvMixer', arch='4/2-p2-k3'),
           neck=dict(type='GlobalAveragePooling'),
           head=dict(type='LinearClsHead', num_classes=3, in_channels=4))


@pytest.fixture
def net():
    torch.manual_seed(0)
    model = build_model(NET)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
    return model


@pytest.fixture
def timm(net):
    return layout_named('timm', 'ConvMixer').from_mmpretrain(net.state_dict())


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr('mmconvmixer.checkpoints.weights.print_log',
                        lambda text, logger, level: lines.append((level, text)))
    return lines


def loads(checkpoint, net, tmp_path):
    """Whether a checkpoint, once saved, gives exactly the weights of a network."""
    path, other = tmp_path / 'net.pth', build_model(NET)
    torch.save(checkpoint, path)
    load_weights(other, state_dict_of(read_checkpoint(path), 'net.pth'), 'net.pth')
    ours = other.state_dict()
    return all(torch.equal(ours[key], value) for key, value in net.state_dict().items())


def averaged_by_torch(net):
    average = AveragedModel(net)
    average.update_parameters(net)
    return average


AVERAGED = {'torch': averaged_by_torch, 'EMA of mmengine': ExponentialMovingAverage,
            'SWA of mmengine': StochasticWeightAverage}


@pytest.mark.parametrize('average', AVERAGED.values(), ids=AVERAGED)
@pytest.mark.parametrize('bare', [True, False])
def test_the_counter_of_an_averaged_model_is_not_a_weight(net, average, bare, tmp_path, said):
    weights = average(net).state_dict()
    assert loads(weights if bare else dict(state_dict=weights), net, tmp_path)
    assert said == []


def test_a_weight_with_the_name_of_a_counter_is_one(net):
    weights = {**net.state_dict(), 'steps': torch.tensor(3)}  # not beside `module.`
    with pytest.raises(CheckpointMismatch, match='1 not in the network .steps'):
        load_weights(build_model(NET), state_dict_of(weights), 'net.pth')


@pytest.mark.parametrize('prefix', [
    'model.', 'net.', 'module.model.', 'timm_model.', 'model.vision_encoder.', 'ema.module.',
    'params/'])
def test_the_attribute_of_a_training_loop_is_removed_and_said(
        net, timm, prefix, tmp_path, said):
    assert loads(dict(state_dict={prefix + key: value for key, value in timm.items()},
                      epoch=3), net, tmp_path)
    (level, text), = said
    assert level == logging.INFO
    assert f'begin with {prefix.removeprefix("module.")}, which was removed' in text


@pytest.mark.parametrize('inside', ['_fsdp_wrapped_module', '_orig_mod',
                                    '_checkpoint_wrapped_module'])
def test_torchs_own_parts_of_a_name_are_removed_anywhere(net, inside, tmp_path, said):
    weights = {f'{inside}.' + key.replace('stages.0.', f'stages.0.{inside}.'): value
               for key, value in net.state_dict().items()}
    assert loads(weights, net, tmp_path)
    assert said == []


@pytest.mark.parametrize('place', ['model', 'model_state_dict', 'net', 'ema', 'model_ema',
                                   'params_ema', 'swa_state_dict'])
def test_weights_are_found_where_training_scripts_save_them(net, timm, place, tmp_path):
    checkpoint = {place: timm, 'optimizer': dict(state={}), 'epoch': 3}
    assert loads(checkpoint, net, tmp_path)
    assert state_dict_of(checkpoint).averaged == ('ema' in place or 'swa' in place)


def test_averaged_weights_are_preferred_wherever_they_are(net, timm):
    last = {key: value + 1 for key, value in timm.items()}
    checkpoint = dict(model=last, model_ema=timm)
    bias = net.state_dict()['head.fc.bias']
    assert torch.equal(state_dict_of(checkpoint)['head.fc.bias'], bias)
    assert torch.equal(state_dict_of(checkpoint, ema=False)['head.fc.bias'], bias + 1)
    with pytest.raises(BadCheckpoint, match='no averaged weights'):
        state_dict_of(dict(model=last), ema=True)


def test_tensors_beside_the_network_are_left_out_with_a_warning(net, timm, tmp_path, said):
    weights = {f'model.{key}': value for key, value in timm.items()}
    assert loads(dict(state_dict={**weights, 'criterion.weight': torch.ones(3)}), net, tmp_path)
    (level, text), = said
    assert level == logging.WARNING
    assert '1 other tensors were left out (criterion.weight)' in text


def test_two_networks_in_one_file_are_refused(timm):
    weights = {prefix + key: value for key, value in timm.items()
               for prefix in ('student.', 'teacher.')}
    with pytest.raises(BadCheckpoint, match=r'2 networks, whose names begin with student\., teac'):
        state_dict_of(dict(state_dict=weights), 'net.pth')


def test_a_part_of_the_network_does_not_pass_for_the_whole(timm):
    weights = {f'model.{key}': value for key, value in timm.items() if 'head' not in key}
    with pytest.raises(CheckpointMismatch, match='2 missing .head.fc.weight, head.fc.bias'):
        load_weights(build_model(NET), state_dict_of(weights), 'net.pth')


def test_a_network_that_is_wrapped_twice_loads(net, tmp_path):
    swa = averaged_by_torch(nn.ModuleDict(dict(model=copy.deepcopy(net))))
    lightning = {f'lit.{key}': value for key, value in swa.state_dict().items()}
    assert loads(dict(state_dict=lightning), net, tmp_path)


@pytest.mark.parametrize('tensor', [
    torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    torch.eye(3).to_sparse_csr()], ids=['nested', 'jagged', 'quantized', 'sparse'])
def test_tensors_of_another_kind_are_named(net, tensor, tmp_path):
    path = tmp_path / 'net.pth'
    torch.save({**net.state_dict(), 'head.fc.bias': tensor}, path)
    with pytest.raises(BadCheckpoint, match='head.fc.bias as a .*expected a dense tensor'):
        state_dict_of(read_checkpoint(path), str(path))

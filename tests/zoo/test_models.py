from pathlib import Path

import mmpretrain
import numpy as np
import pytest
import torch

from mmconvmixer import Predictor, get_model, zoo
from mmconvmixer.errors import BadConfig, CheckpointMismatch, CheckpointNotFound
from mmconvmixer.models import FeatureExtractor

DIGITS, CIFAR = 'convmixer-64-4_digits', 'convmixer-128-4_cifar10'


@pytest.mark.parametrize('pretrained', ['', ' ', None, 0, 0., [], {}, (), b'', np.False_, 1, b'x'],
                         ids=repr)
def test_weights_are_random_only_if_asked_for(pretrained):
    with pytest.raises(CheckpointNotFound, match='pretrained is .*; expected True .*False') as said:
        get_model(DIGITS, pretrained=pretrained)
    assert repr(pretrained) in str(said.value)


@pytest.mark.parametrize('call', [
    lambda: Predictor(DIGITS, pretrained=''),
    lambda: zoo.resolve_checkpoint(''),
    lambda: zoo.resolve_checkpoint(' ')])
def test_an_empty_name_is_not_a_checkpoint_elsewhere_either(call, tmp_path, monkeypatch):
    (tmp_path / 'model.safetensors').touch()  # '' as a path is the current folder
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointNotFound, match="' ?'"):
        call()


def test_weights_are_given_by_a_path_object_too():
    weights = Path(zoo.find(DIGITS).weights)
    model = get_model(DIGITS, pretrained=weights)
    assert torch.equal(model.head.fc.bias, get_model(DIGITS, pretrained=True).head.fc.bias)


def test_a_network_without_a_head_has_the_weights_of_the_rest():
    image = torch.rand(1, 3, 32, 32)
    whole, headless = get_model(CIFAR, pretrained=True), get_model(CIFAR, True, head=None)
    features, = headless(image)
    assert headless.head is None and features.shape == (1, 128)
    assert torch.equal(features, whole.extract_feat(image)[0])


OPTIONS = {
    'neck': dict(neck=None, head=None),
    'blocks': dict(neck=None, head=None, backbone=dict(out_indices=(0, 3))),
    'first block': dict(head=None, backbone=dict(out_indices=[1])),
    'frozen': dict(head=None, backbone=dict(frozen_stages=2)),
}


@pytest.mark.parametrize('options', OPTIONS.values(), ids=OPTIONS)
def test_parts_are_left_out_as_in_mmpretrain(options):
    image = torch.rand(2, 3, 32, 32)
    ours = get_model(CIFAR, pretrained=True, **options)(image)
    theirs = mmpretrain.get_model(CIFAR, pretrained=True, **options)(image)
    assert len(ours) == len(theirs)
    assert all(map(torch.equal, ours, theirs))


def test_a_config_without_a_head_loads_weights_of_a_classifier(repo):
    config = zoo.load_config(DIGITS)
    config.model.head = None
    assert get_model(config, pretrained=zoo.find(DIGITS).weights)(
        torch.rand(1, 1, 8, 8))[0].shape == (1, 64)


def test_without_a_head_the_rest_still_has_to_fit():
    with pytest.raises(CheckpointMismatch, match='does not fit'):
        get_model(CIFAR, pretrained=DIGITS, head=None)


@pytest.mark.parametrize('options', [dict(head=None), dict(type=FeatureExtractor, head=None)],
                         ids=['head=None', 'features'])
def test_no_classes_are_predicted_without_a_head(options):
    with pytest.raises(BadConfig, match='a network without a head predicts no classes'):
        Predictor(DIGITS, **options)


@pytest.mark.parametrize(('name', 'width'), [
    (DIGITS, 64), ('mlp-mixer-base-p16_flax_in1k', 768)])
def test_a_head_for_another_width_is_an_error_in_one_line(name, width):
    said = f'in_channels is 7, but the head gets {width} features .*set head.in_channels={width}'
    with pytest.raises(BadConfig, match=said):
        get_model(name, head=dict(in_channels=7))


def test_a_config_of_the_users_own_is_checked_too():
    config = zoo.load_config(DIGITS)
    config.model.head.in_channels = 7
    with pytest.raises(BadConfig, match='head.in_channels is 7'):
        get_model(config)


def test_a_dict_in_place_of_a_name_is_an_error_in_one_line():
    arch = dict(embed_dims=8, depth=1, patch_size=1, kernel_size=3)
    with pytest.raises(BadConfig, match='arch=.* cannot inherit from base .*_delete_=True'):
        get_model(DIGITS, backbone=dict(arch=arch))


def test_class_names_of_another_type_are_ignored(tmp_path):
    path = tmp_path / 'net.pth'
    weights = get_model(DIGITS, pretrained=True).state_dict()
    for meta in (dict(dataset_meta='ten'), dict(CLASSES=3), dict(dataset_meta=dict(classes='abc')),
                 dict(dataset_meta=[1]), 'text', None):
        torch.save(dict(state_dict=weights, meta=meta), path)
        answer = Predictor(DIGITS, pretrained=str(path))(np.zeros((8, 8), np.uint8))
        assert answer['pred_class'] == str(answer['pred_label'])  # the config's name of the digit


@pytest.mark.parametrize(('options', 'advice'), [
    (dict(num_classes=7), r'give head=dict\(num_classes=7\)'),
    (dict(drop_path_rate=0.1), r'give backbone=dict\(drop_path_rate=0.1\)'),
    (dict(in_channels=4), r'give head=dict\(in_channels=4\) or backbone=dict\(in_channels=4\)'),
    (dict(color='gray'), 'it has backbone, data_preprocessor, head')])
def test_an_option_of_a_part_is_sent_there(options, advice):
    with pytest.raises(BadConfig, match=f'is no option of ImageClassifier; {advice}'):
        get_model('convmixer-64-4_digits', **options)
    assert get_model('convmixer-64-4_digits', head=dict(num_classes=7)).head.num_classes == 7

import pytest
import torch

from mmconvmixer import get_model, inference_model
from mmconvmixer.apis.evaluation import evaluate
from mmconvmixer.checkpoints import load_weights
from mmconvmixer.errors import BadConfig, CheckpointMismatch
from mmconvmixer.models import FeatureExtractor

SMALL = dict(type='ConvMixer', arch='8/2-p4-k3')
CLASSIFIER = dict(backbone=SMALL, head=dict(in_channels=8, num_classes=5))


@pytest.fixture
def pair():
    """A classifier, and the feature extractor that has taken its weights."""
    torch.manual_seed(0)
    classifier = get_model('convmixer-768-32_3rdparty_in1k', **CLASSIFIER)
    extractor = get_model('rishit-dagli/convmixer-768-32-fe/1', backbone=SMALL)
    load_weights(extractor, classifier.state_dict(), 'classifier.pth')
    return classifier, extractor


def test_it_returns_the_pooled_features_of_its_classifier(pair):
    classifier, extractor = pair
    x = torch.randn(3, 3, 16, 16)
    features = extractor(x)
    assert features.shape == (3, 8)
    torch.testing.assert_close(features, classifier.extract_feat(x)[-1], rtol=0, atol=0)


def test_weights_of_another_backbone_are_refused(pair):
    other = get_model('convmixer-768-32_3rdparty_in1k',
                      backbone=dict(type='ConvMixer', arch='8/3-p4-k3'), head=dict(in_channels=8))
    with pytest.raises(CheckpointMismatch, match='not in the network'):
        load_weights(pair[1], other.state_dict(), 'other.pth')


def test_it_can_be_fine_tuned_in_front_of_another_layer(pair):
    extractor = pair[1].train()
    network = torch.nn.Sequential(extractor, torch.nn.Linear(8, 2))
    network(torch.randn(4, 3, 16, 16)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0
               for name, parameter in network.named_parameters() if 'norm' not in name)


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_modes_that_need_a_head_are_refused(pair, mode):
    images = torch.zeros(1, 3, 16, 16)
    with pytest.raises(BadConfig, match='no head'):
        pair[1](images, mode=mode)
    with pytest.raises(BadConfig, match='no head'):
        getattr(pair[1], mode)(images, [])


def test_classifying_with_it_is_an_error(pair):
    with pytest.raises(BadConfig, match='predicts no classes'):
        inference_model(pair[1], 'image.jpg')


def test_a_head_is_an_error():
    with pytest.raises(BadConfig, match='use ImageClassifier'):
        FeatureExtractor(SMALL, head=dict(type='LinearClsHead', num_classes=3, in_channels=8))


def test_a_missing_neck_is_an_error():
    with pytest.raises(BadConfig, match='neck that pools'):
        FeatureExtractor(SMALL)


def test_evaluating_it_is_an_error(tmp_path):
    with pytest.raises(BadConfig, match='evaluate the classifier'):
        evaluate('sayakpaul/mixer_b16_i1k_fe/1', work_dir=str(tmp_path))

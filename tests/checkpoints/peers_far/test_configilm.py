"""ConvMixers of ConfigILM 0.7.1, of which BigEarthNet's classifiers consist.

    pip install '.[test]' configilm==0.7.1
    pytest -m slow -rP tests/checkpoints/peers_far/test_configilm.py

It needs Python 3.11 at most, numpy 1 and huggingface_hub 0.
"""
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import read_architecture

pytestmark = pytest.mark.slow


@torch.no_grad()
def test_a_classifier_of_bigearthnet(tmp_path):
    """As the published files: 12 bands, 19 classes, and names below model.vision_encoder."""
    pytest.importorskip('configilm', reason='ConfigILM is not installed')
    from configilm.ConfigILM import ConfigILM, ILMConfiguration, ILMType

    class Classifier(nn.Module):
        """As in BigEarthNet's training code, which puts the network into `model`."""

        def __init__(self):
            super().__init__()
            self.model = ConfigILM(ILMConfiguration(
                timm_model_name='convmixer_768_32', classes=19, channels=12, image_size=120,
                network_type=ILMType.IMAGE_CLASSIFICATION))

    torch.manual_seed(0)
    classifier = Classifier().eval()
    for name, value in classifier.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif name.endswith('running_mean'):
            value.normal_(0, 0.3)
    save_file(classifier.state_dict(), tmp_path / 'model.safetensors')
    (tmp_path / 'config.json').write_text(classifier.model.config.to_json())
    bands = torch.randn(2, 12, 120, 120, dtype=torch.float64)
    expected = classifier.double().model(bands)

    weights = state_dict_of(read_checkpoint(tmp_path))
    assert str(read_architecture(weights)) == (
        'ConvMixer-768/32, patch 7, kernel 7, 12 input channels, 19 classes')
    model = get_model('convmixer-768-32_3rdparty_in1k', pretrained=str(tmp_path),
                      backbone=dict(in_channels=12), head=dict(num_classes=19)).double()
    difference = float((model(bands) - expected).abs().max() / expected.abs().max())
    print(f'the largest difference is {difference:.1e} of the largest output')
    assert expected.std() > 1e-2 and difference <= 1e-5

"""Networks of two packages that are called ConvMixer or MLP-Mixer and are none.

    pip install '.[test,peers]' einops
    pip install --no-deps jax-models==0.0.5 mlp-mixer-pytorch==0.3.1
    pytest -m slow -rP tests/checkpoints/peers_far/test_lookalikes.py
"""
import pytest
import torch

from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import read_architecture
from mmconvmixer.errors import BadCheckpoint

pytestmark = pytest.mark.slow


def test_the_convmixer_of_jax_models(tmp_path):
    jax = pytest.importorskip('jax', reason='JAX is not installed')
    serialization = pytest.importorskip('flax.serialization', reason='flax is not installed')
    pytest.importorskip('jax_models', reason='jax-models is not installed')
    from jax_models.models.conv_mixer import ConvMixer
    network = ConvMixer(features=8, num_mixer_layers=2, num_classes=5, deterministic=True)
    variables = network.init(jax.random.PRNGKey(0), jax.numpy.zeros((1, 56, 56, 3)), True)
    path = tmp_path / 'net.msgpack'
    path.write_bytes(serialization.to_bytes(variables))
    with pytest.raises(BadCheckpoint, match="jax-models' ConvMixer, which is none: its pointwise "
                                            'convolution is 9 x 9'):
        read_architecture(state_dict_of(read_checkpoint(path)))


def test_the_mlp_mixer_of_lucidrains(tmp_path):
    package = pytest.importorskip('mlp_mixer_pytorch', reason='it is not installed')
    network = package.MLPMixer(
        image_size=224, channels=3, patch_size=16, dim=768, depth=12, num_classes=1000)
    assert sum(each.numel() for each in network.parameters()) == 22_979_608  # not 59.9 million
    torch.save(network.state_dict(), tmp_path / 'net.pth')
    with pytest.raises(BadCheckpoint, match="lucidrains' mlp-mixer-pytorch, which is another "
                                            'network by default'):
        read_architecture(state_dict_of(read_checkpoint(tmp_path / 'net.pth')))

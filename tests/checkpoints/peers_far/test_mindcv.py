"""MLP-Mixers of mindcv 0.3.0 with MindSpore 2.9.

    pip install '.[test]' mindspore==2.9.0 && pip install --no-deps mindcv==0.3.0
    pytest -m slow -rP tests/checkpoints/peers_far/test_mindcv.py

MindSpore needs Python 3.11 at most and numpy 1. It computes in float32 here.
"""
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('format', ['ckpt', 'safetensors'])
@pytest.mark.parametrize('depth', [1, 3])
def test_a_mixer_of_mindcv(depth, format, crops, tmp_path, same_outputs):
    mindspore = pytest.importorskip('mindspore', reason='MindSpore is not installed')
    pytest.importorskip('mindcv', reason='mindcv is not installed')
    from mindcv.models.mlpmixer import MLPMixer
    network = MLPMixer(depth=depth, patch_size=8, n_patches=64, n_channels=24, token_dim=12,
                       channel_dim=40, num_classes=7)
    network.set_train(False)
    generator = np.random.default_rng(0)
    for parameter in network.get_parameters():
        shape = parameter.shape
        values = generator.normal(0, np.prod(shape[1:])**-0.5, shape) if len(shape) > 1 else (
            generator.normal(0.3, 0.3, shape))
        parameter.set_data(mindspore.Tensor(values.astype('float32')))
    path = tmp_path / f'net.{format}'
    mindspore.save_checkpoint(network, str(path.with_suffix('')), format=format)
    expected = network(mindspore.Tensor(crops.numpy().astype('float32'))).asnumpy()
    same_outputs(path, crops, torch.from_numpy(expected).double())

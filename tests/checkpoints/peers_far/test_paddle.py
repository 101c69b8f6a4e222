"""ConvMixer and MLP-Mixer of PaddleViT, and MLP-Mixer of PASSL, in Paddle 3.3.1.

Neither is a package. Clone github.com/BR-IDL/PaddleViT and github.com/PaddlePaddle/PASSL into one
folder, then:

    pip install '.[test,peers-far]'
    PADDLE_SOURCES=FOLDER pytest -m slow -rP tests/checkpoints/peers_far/test_paddle.py
"""
import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.fixture
def paddle():
    paddle = pytest.importorskip('paddle', reason='Paddle is not installed')
    if not os.environ.get('PADDLE_SOURCES'):
        pytest.skip('needs PADDLE_SOURCES, a folder with PaddleViT and PASSL')
    return paddle


def module_of(file, name):
    """Import one file of the sources."""
    spec = importlib.util.spec_from_file_location(
        name, Path(os.environ['PADDLE_SOURCES'], file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def of_passl(folder, name):
    """Import a file of PASSL, whose registries' other members need more packages."""
    registry = types.SimpleNamespace(register=lambda: lambda kind: kind)
    for package in ('passl', f'passl.{folder}'):
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = []
    builder = types.ModuleType(f'passl.{folder}.builder')
    builder.BACKBONES = builder.HEADS = registry
    sys.modules[builder.__name__] = builder
    return module_of(f'PASSL/passl_v110/modeling/{folder}/{name}.py', f'passl.{folder}.{name}')


def convmixer(paddle, kernel_size=5):
    source = module_of('PaddleViT/image_classification/ConvMixer/convmixer.py', 'convmixer')
    return source.ConvMixer(24, 11, kernel_size=kernel_size, patch_size=4, num_classes=7)


def mixer(paddle):
    module_of('PaddleViT/image_classification/MLP-Mixer/droppath.py', 'droppath')
    source = module_of('PaddleViT/image_classification/MLP-Mixer/mlp_mixer.py', 'mlp_mixer')
    return source.MlpMixer(num_classes=7, image_size=64, patch_size=8, num_mixer_layers=11,
                           embed_dim=24)


def passl_mixer(paddle):
    class Network(paddle.nn.Layer):
        """As PASSL's MlpMixerWrapper combines them."""

        def __init__(self):
            super().__init__()
            self.backbone = of_passl('backbones', 'mlp_mixer').MlpMixer(
                img_size=64, patch_size=8, num_blocks=11, embed_dim=24)
            self.head = of_passl('heads', 'mlp_mixer_head').MlpMixerClsHead(24, 7)

        def forward(self, images):
            return self.head(self.backbone(images))
    return Network()


@pytest.mark.parametrize('build', [convmixer, mixer, passl_mixer])
def test_a_pdparams_file(build, paddle, crops, tmp_path, same_outputs):
    paddle.set_device('cpu')
    network = build(paddle)
    generator = np.random.default_rng(0)

    def random(name, shape):
        if name.endswith('_variance'):
            return generator.uniform(0.2, 0.5, shape)
        if len(shape) > 1:
            inputs = shape[0] if len(shape) == 2 else np.prod(shape[1:])
            return generator.normal(0, inputs**-0.5, shape)
        return generator.normal(0.3, 0.3, shape)
    values = {name: random(name, value.shape).astype('float32')
              for name, value in network.state_dict().items()}
    network.set_state_dict(values)
    path = tmp_path / 'net.pdparams'
    paddle.save(network.state_dict(), str(path))
    paddle.set_default_dtype('float64')
    try:
        exact = build(paddle)
        exact.set_state_dict({name: value.astype('float64') for name, value in values.items()})
        exact.eval()
        expected = exact(paddle.to_tensor(crops.numpy())).numpy()
    finally:
        paddle.set_default_dtype('float32')
    same_outputs(path, crops, torch.from_numpy(expected))

"""Small networks whose logits depend on the image, and how outputs are compared.

Also a stand-in for onnxruntime-web.
"""
import hashlib

import numpy as np
import pytest
import torch

from benchmarks.trained_like import trained_like
from mmconvmixer import get_model
from mmconvmixer.deploy.web import runtime
from mmconvmixer.zoo.config import load_config


@pytest.fixture
def convmixer():
    """Build a ConvMixer for images of 32 x 32 and ten classes."""
    def build(act='GELU', depth=3, kernel_size=5):
        torch.manual_seed(0)
        return trained_like(get_model(
            'convmixer-128-4_cifar10', head=dict(in_channels=16),
            backbone=dict(arch=f'16/{depth}-p4-k{kernel_size}', act_cfg=dict(type=act))))
    return build


@pytest.fixture
def mixer():
    """Build an MLP-Mixer for images of 32 x 32 and five classes."""
    def build():
        torch.manual_seed(0)
        arch = dict(embed_dims=16, num_layers=2, tokens_mlp_dims=12, channels_mlp_dims=24,
                    _delete_=True)
        config = load_config('mlp-mixer-base-p16_3rdparty_64xb64_in1k')
        load, *_, pack = config.test_dataloader.dataset.pipeline
        config.test_dataloader.dataset.pipeline = [load, dict(type='Resize', scale=(32, 32)), pack]
        return get_model(config, backbone=dict(arch=arch, img_size=32, patch_size=8),
                         head=dict(in_channels=16, num_classes=5))
    return build


@pytest.fixture
def error():
    """Return the largest error of outputs, over the largest output."""
    def compare(actual, expected):
        assert actual.shape == expected.shape
        return np.abs(actual - expected).max() / np.abs(expected).max()
    return compare


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An unpacked package whose hashes are those that the exporter expects."""
    folder = tmp_path / 'onnxruntime-web'
    (folder / 'dist').mkdir(parents=True)
    promised = {}
    for name in runtime.FILES:
        content = f'the content of {name}'.encode()
        (folder / 'dist' / name).write_bytes(content)
        promised[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(runtime, 'FILES', promised)
    return folder

"""MLP-Mixer-B/16 on ImageNet-1k, for the original flax weights.

Status: not trained here. Weights:
        https://storage.googleapis.com/mixer_models/imagenet1k/Mixer-B_16.npz, of
        sharpness-aware training: https://storage.googleapis.com/mixer_models/sam/Mixer-B_16.npz
"""
_base_ = [
    '../_base_/models/mlp_mixer_flax.py',
    'mmpretrain::_base_/datasets/imagenet_bs64_mixer_224.py',
    'mmpretrain::_base_/default_runtime.py',
    '../_base_/plugin.py',
]

val_cfg = dict()
test_cfg = dict()

"""MLP-Mixer-B/32 on ImageNet-1k, for the original flax weights.

Status: not trained here. Weights of sharpness-aware training:
        https://storage.googleapis.com/mixer_models/sam/Mixer-B_32.npz
"""
_base_ = ['mlp-mixer-base-p16_flax_in1k.py']

model = dict(backbone=dict(patch_size=32))

"""MLP-Mixer-L/16 on ImageNet-1k, for the original flax weights.

Status: not trained here; no training recipe. Weights by the authors, 71.76 % top-1 (paper):
        https://storage.googleapis.com/mixer_models/imagenet1k/Mixer-L_16.npz
"""
_base_ = ['mlp-mixer-base-p16_flax_in1k.py']

model = dict(backbone=dict(arch='L/16'), head=dict(in_channels=1024))

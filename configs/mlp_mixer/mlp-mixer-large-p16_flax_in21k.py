"""MLP-Mixer-L/16 on ImageNet-21k (21,843 classes), for the original flax weights.

Status: not trained here, and mmpretrain has no test set with these classes. Weights:
        https://storage.googleapis.com/mixer_models/imagenet21k/Mixer-L_16.npz
"""
_base_ = ['mlp-mixer-base-p16_flax_in21k.py']

model = dict(backbone=dict(arch='L/16'), head=dict(in_channels=1024))

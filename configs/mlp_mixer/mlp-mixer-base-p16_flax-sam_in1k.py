"""MLP-Mixer-B/16 on ImageNet-1k, for the flax weights of sharpness-aware training.

Status: not trained here; no training recipe. Weights by the authors of arXiv:2106.01548, 77.4 %
        top-1 (paper): https://storage.googleapis.com/mixer_models/sam/Mixer-B_16.npz
"""
_base_ = ['mlp-mixer-base-p16_flax_in1k.py']

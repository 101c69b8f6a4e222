"""MLP-Mixer-B/16 on ImageNet-1k, for the original flax weights.

Status: not trained here; no training recipe. Weights by the authors, 76.44 % top-1 (paper):
        https://storage.googleapis.com/mixer_models/imagenet1k/Mixer-B_16.npz
"""
_base_ = [
    'mmpretrain::_base_/datasets/imagenet_bs64_mixer_224.py',
    '../_base_/models/mlp_mixer_flax.py',
    '../_base_/runtime.py',
]

# (x - 127.5) / 127.5, as in the original.
data_preprocessor = dict(
    num_classes=1000,
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5],
    to_rgb=True)

# How the authors measure it (`pp_eval` in big_vision/configs/mlp_mixer_i1k.py): area interpolation
# to 256, then the center. mmpretrain's bicubic one, without antialiasing, gives other pixels.
_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short', interpolation='area'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_pipeline))

val_cfg = dict()
test_cfg = dict()

"""MLP-Mixer-B/16 fine-tuned from ImageNet-1k on five flowers, by the collection's recipe.

Status: not trained here.
Run:    python tools/train.py configs/mlp_mixer/mlp-mixer-base-p16_flowers.py
        python tools/train.py configs/mlp_mixer/mlp-mixer-base-p16_flowers.py --data DIR
"""
_base_ = [
    '../_base_/models/mlp_mixer_flax.py',
    '../_base_/datasets/flowers.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/runtime_small.py',
]

load_from = 'https://storage.googleapis.com/mixer_models/imagenet1k/Mixer-B_16.npz'

model = dict(head=dict(num_classes=5))
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3)

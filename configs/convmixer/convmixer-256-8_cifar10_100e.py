"""ConvMixer-256/8 (patch 2, kernel 5) on CIFAR-10, the official script's 100 epochs.

Status: not trained here yet. To reach: 94 % (locuslab/convmixer-cifar10 README).
Run:    python tools/train.py configs/convmixer/convmixer-256-8_cifar10_100e.py
"""
_base_ = ['convmixer-256-8_cifar10.py']

# The augmentation of the 25-epoch config, then color jitter and erasing.
data_preprocessor = dict(
    transforms=[
        dict(type='BatchRandomFlip', prob=0.5),
        dict(type='BatchRandAugment', num_ops=2, magnitude=12),
        dict(type='BatchColorJitter', strength=0.2),
    ])
model = dict(
    train_cfg=dict(
        augments=dict(
            type='MixThenErase',
            augments=[],
            erase_prob=0.2,
            area=(0.02, 0.33),
            fill='zero')))

param_scheduler = dict(epochs=[0, 40, 80, 100])
train_cfg = dict(max_epochs=100)

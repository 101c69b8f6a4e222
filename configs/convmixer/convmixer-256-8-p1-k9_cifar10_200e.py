"""ConvMixer-256/8 (patch 1, kernel 9) on CIFAR-10, the paper's 200 epochs.

Status: not trained here yet. To reach: 96.03 % (paper, table 4). The paper trains
        with its ImageNet recipe and crops of at least 0.75 of the area. It gives
        no batch size; 128 was chosen here.
Run:    python tools/train.py configs/convmixer/convmixer-256-8-p1-k9_cifar10_200e.py
"""
_base_ = [
    '../_base_/models/convmixer_in1k.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/schedules/convmixer_in1k.py',
    '../_base_/runtime_small.py',
]

model = dict(
    backbone=dict(arch='256/8-p1-k9'),
    head=dict(num_classes=10, in_channels=256))

# timm's RandAugment has no version for whole batches, so images are augmented one by one.
data_preprocessor = dict(to_onehot=True)
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='RandomResizedCrop',
                scale=32,
                crop_ratio_range=(0.75, 1.0),
                backend='pillow',
                interpolation='bilinear'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            # rand-m9-mstd0.5-inc1
            dict(
                type='RandAugment',
                policies='timm_increasing',
                num_policies=2,
                total_level=10,
                magnitude_level=9,
                magnitude_std=0.5,
                hparams=dict(pad_val=[114, 123, 125], interpolation='bilinear')),
            dict(type='PackInputs'),
        ]))

param_scheduler = dict(epochs=[0, 80, 160, 200])
train_cfg = dict(max_epochs=200)
auto_scale_lr = dict(base_batch_size=128)

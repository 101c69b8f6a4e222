"""ConvMixer-64/4 (patch 1, kernel 3) on scikit-learn's handwritten digits.

Status: trained. 99.00 % top-1 on the last third (599 images, mostly by writers that
        are not in the first two thirds), last of 40 epochs, seed 0; 40 seconds on
        2 CPU cores.
Run:    python tools/train.py configs/convmixer/convmixer-64-4_digits.py
"""
_base_ = ['../_base_/runtime_small.py']

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ConvMixer', arch='64/4', in_channels=1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=64,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))

data_preprocessor = dict(num_classes=10, mean=[78.1], std=[95.7])

load = dict(type='LoadImage', color_type='grayscale')
resize = dict(type='Resize', scale=(8, 8), interpolation='area')

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='Digits',
        split='train',
        pipeline=[
            load,
            dict(type='NumpyToPIL'),
            dict(
                type='torchvision/RandomAffine',
                degrees=12,
                translate=(0.1, 0.1),
                scale=(0.85, 1.15),
                shear=8,
                interpolation='bilinear'),
            dict(type='PILToNumpy'),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=True))

val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    dataset=dict(
        type='Digits',
        split='test',
        test_mode=True,
        pipeline=[load, resize, dict(type='PackInputs')]),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, 5))

test_dataloader = val_dataloader
test_evaluator = [val_evaluator, dict(type='CalibrationError'), dict(type='PerClassAccuracy')]

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0))

param_scheduler = dict(
    type='PiecewiseLinearLR',
    epochs=[0, 16, 32, 40],
    factors=[0, 1, 1 / 20, 0],
    convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=10)
val_cfg = dict()
test_cfg = dict()

randomness = dict(seed=0)

"""Photographs in one folder per class, with the MLP-Mixer collection's fine-tuning pipeline.

data/images/<class>/<any name>.jpg, with a tenth of each class held out for validation. Or run
`tools/train.py CONFIG --data DIR`, which also finds the classes and DIR/val.
"""
data_preprocessor = dict(
    # RGB
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        type='ImageFolder',
        data_root='data/images',
        part='rest',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.05, 1.0)),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=True))

val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        type='ImageFolder',
        data_root='data/images',
        part='held-out',
        test_mode=True,
        # Resized to a square without keeping the aspect ratio, not cropped.
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(224, 224)),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1,))

test_dataloader = val_dataloader
test_evaluator = [val_evaluator, dict(type='CalibrationError'), dict(type='PerClassAccuracy')]

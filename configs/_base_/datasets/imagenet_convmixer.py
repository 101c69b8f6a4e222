"""ImageNet-1k with the paper's augmentation and mmpretrain's test settings.

Mixup, cutmix and erasing work on whole batches and are in the model's train_cfg, in
`models/convmixer_in1k.py`.
"""
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64_convmixer_224.py']

# For mixup and cutmix; mmpretrain would set it on its own, but log a warning in each run.
data_preprocessor = dict(to_onehot=True)

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            # timm's interpolation "random" draws one of the two for each image.
            dict(
                type='RandomChoice',
                transforms=[[
                    dict(
                        type='RandomResizedCrop',
                        scale=224,
                        crop_ratio_range=(0.08, 1.0),
                        backend='pillow',
                        interpolation=interpolation),
                    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
                    # rand-m9-mstd0.5-inc1
                    dict(
                        type='RandAugment',
                        policies='timm_increasing',
                        num_policies=2,
                        total_level=10,
                        magnitude_level=9,
                        magnitude_std=0.5,
                        hparams=dict(pad_val=[104, 116, 124], interpolation=interpolation)),
                ] for interpolation in ('bicubic', 'bilinear')]),
            dict(type='PackInputs'),
        ]))

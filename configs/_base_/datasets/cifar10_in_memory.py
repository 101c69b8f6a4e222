"""CIFAR-10 in memory, augmented in whole batches on the training device.

The transforms are those of cifar10.py, with separate draws for each image. Validation images
are in memory too and testing reads the files; both have the same pixels as with cifar10.py.
"""
_base_ = ['cifar10.py']

data_preprocessor = dict(
    type='BatchPreprocessor',
    transforms=[
        dict(type='BatchRandomFlip', prob=0.5),
        dict(type='BatchRandAugment', num_ops=2, magnitude=12),
    ])

_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]

train_dataloader = dict(
    num_workers=0,
    dataset=dict(
        _delete_=True,
        type='InMemory',
        dataset=dict(
            type='CIFAR10Folder', data_root='data/cifar10', data_prefix='train',
            pipeline=_pipeline)))
val_dataloader = dict(
    num_workers=0,
    dataset=dict(
        _delete_=True,
        type='InMemory',
        dataset=dict(
            type='CIFAR10Folder', data_root='data/cifar10', data_prefix='test',
            test_mode=True, pipeline=_pipeline)))

"""CIFAR-10 as images in class folders; CIFAR-100 changes type, root and classes.

data/cifar10/{train,test}/<class>/<any name>.png
"""
data_preprocessor = dict(
    num_classes=10,
    # RGB, those of locuslab/convmixer-cifar10 times 255
    mean=[125.307, 122.961, 113.8575],
    std=[63.0105, 62.0925, 66.708],
    to_rgb=True)

train_dataloader = dict(
    batch_size=512,
    num_workers=2,
    dataset=dict(
        type='CIFAR10Folder',
        data_root='data/cifar10',
        data_prefix='train',
        # torchvision's transforms, in the order of the official script
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='NumpyToPIL', to_rgb=True),
            dict(type='torchvision/RandomHorizontalFlip', p=0.5),
            dict(type='torchvision/RandAugment', num_ops=2, magnitude=12),
            dict(type='PILToNumpy', to_bgr=True),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=True))

val_dataloader = dict(
    batch_size=512,
    num_workers=2,
    dataset=dict(
        type='CIFAR10Folder',
        data_root='data/cifar10',
        data_prefix='test',
        test_mode=True,
        # The Resize is for other images; CIFAR's already have this size.
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(32, 32), interpolation='area'),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, 5))

test_dataloader = val_dataloader
test_evaluator = [val_evaluator, dict(type='CalibrationError'), dict(type='PerClassAccuracy')]

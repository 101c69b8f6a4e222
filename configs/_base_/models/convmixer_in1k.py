"""ConvMixer with 1,000 classes and the batch augmentation of the paper's recipe."""
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ConvMixer', arch='768/32'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
    train_cfg=dict(
        augments=dict(
            type='MixThenErase',
            augments=[dict(type='Mixup', alpha=0.5), dict(type='CutMix', alpha=0.5)],
            erase_prob=0.25)))

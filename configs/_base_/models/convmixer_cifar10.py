"""ConvMixer-256/8 (patch 2, kernel 5) with ten classes."""
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ConvMixer', arch='256/8'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=256,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))

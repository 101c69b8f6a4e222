"""MLP-Mixer-B/16 with the numerics of the original flax network: tanh GELU and eps 1e-6."""
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='MlpMixer',
        arch='B/16',
        img_size=224,
        out_type='featmap',
        act_cfg=dict(type='GELU', approximate='tanh'),
        norm_cfg=dict(type='LN', eps=1e-6)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))

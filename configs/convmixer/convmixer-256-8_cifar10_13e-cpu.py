"""ConvMixer-256/8 (patch 2, kernel 5) on CIFAR-10 in 13 epochs, for two CPU cores.

Status: trained. 91.02 % top-1, 99.67 % top-5 on the 10,000 test images, last of 13 epochs, seed 0,
        float16 weights; 89.9 minutes on 2 CPU cores (AVX2), beside other work. To reach: 92.60 %.
Run:    python tools/train.py configs/convmixer/convmixer-256-8_cifar10_13e-cpu.py

Muon instead of AdamW for the pointwise convolutions, and small images at first: four epochs of
16x16, five of 24x24, four of 32x32.
"""
_base_ = ['convmixer-256-8_cifar10.py']

model = dict(
    head=dict(loss=dict(
        _delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
    train_cfg=dict(augments=dict(type='ResizeBatch', size=16)))
custom_hooks = [dict(type='SwitchRecipeHook', schedule=[
    dict(action_epoch=5, batch_augments=dict(augments=dict(type='ResizeBatch', size=24))),
    dict(action_epoch=10, batch_augments=None),
])]

data_preprocessor = dict(
    transforms=[
        dict(type='BatchRandomCrop', padding=4),
        dict(type='BatchRandomFlip', prob=0.5),
        dict(type='BatchRandAugment', num_ops=1, magnitude=8),
    ])
train_dataloader = dict(batch_size=128)
auto_scale_lr = dict(base_batch_size=128)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='MuonOptimWrapperConstructor',
    optimizer=dict(type='MuonAdamW', lr=0.02, weight_decay=0.01))
param_scheduler = dict(epochs=[0, 3, 13], factors=[0, 1, 0])
train_cfg = dict(max_epochs=13, val_interval=13)

randomness = dict(seed=0)

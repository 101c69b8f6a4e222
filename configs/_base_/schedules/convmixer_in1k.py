"""The paper's ImageNet recipe (locuslab/convmixer README): 10 GPUs x 64 images.

A config with another number of epochs than 150 must also set the schedule's points, which are
0, 2/5, 4/5 and 1 times that number.
"""
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(
        type='AdamW', lr=0.01, betas=(0.9, 0.999), eps=1e-3, weight_decay=2e-5),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.),
    clip_grad=dict(max_norm=1.0))

param_scheduler = dict(
    type='PiecewiseLinearLR',
    epochs=[0, 60, 120, 150],
    factors=[0, 1, 1 / 20, 0],
    convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=150, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=640)

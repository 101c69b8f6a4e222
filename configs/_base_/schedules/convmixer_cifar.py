"""The official CIFAR-10 script's 25 epochs (locuslab/convmixer-cifar10 README)."""
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=0.05, weight_decay=0.005))

param_scheduler = dict(
    type='PiecewiseLinearLR',
    epochs=[0, 10, 20, 25],
    factors=[0, 1, 1 / 20, 0],
    convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=25, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=512)

"""The MLP-Mixer collection's fine-tuning recipe: 8 epochs of plain SGD with a new head."""
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.03, momentum=0., weight_decay=0.),
    clip_grad=dict(max_norm=1.0))

param_scheduler = dict(
    type='WarmUpCosineLR',
    epochs=8,
    warmup_iters=10,
    start_factor=0.2,  # 0.006 in the first iteration
    convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=64)

# The weights to start from were trained on other classes.
new_head = True

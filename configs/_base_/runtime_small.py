"""The runtime for runs of minutes: two checkpoints, a log line each epoch."""
_base_ = ['runtime.py']

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    logger=dict(interval=50))

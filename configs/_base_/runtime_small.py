"""The runtime for short runs: keeps two checkpoints and logs every 50 iterations."""
_base_ = ['runtime.py']

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    logger=dict(interval=50))

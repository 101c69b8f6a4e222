"""Hooks of a training run: checkpoints, progress, the run's record, frozen layers, images."""
from mmconvmixer.engine.hooks.checkpoint_hook import CheckpointHook
from mmconvmixer.engine.hooks.freeze_hook import FreezeHook
from mmconvmixer.engine.hooks.progress_hook import ProgressHook
from mmconvmixer.engine.hooks.random_state_hook import RandomStateHook
from mmconvmixer.engine.hooks.record_hook import RecordHook
from mmconvmixer.engine.hooks.show_hook import ShowHook
from mmconvmixer.engine.hooks.unreadable_hook import UnreadableHook

__all__ = ['CheckpointHook', 'FreezeHook', 'ProgressHook', 'RandomStateHook', 'RecordHook',
           'ShowHook', 'UnreadableHook']

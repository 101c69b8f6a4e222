"""What runs a training or a test: the runner, its hooks, optimizers and metrics."""
from mmconvmixer.engine.evaluator import Evaluator
from mmconvmixer.engine.hooks.checkpoint_hook import CheckpointHook
from mmconvmixer.engine.hooks.freeze import FrozenLayersHook
from mmconvmixer.engine.hooks.progress_hook import ProgressHook
from mmconvmixer.engine.hooks.random_state_hook import RandomStateHook
from mmconvmixer.engine.hooks.show_hook import ShowHook
from mmconvmixer.engine.hooks.unreadable_hook import UnreadableHook
from mmconvmixer.engine.launch import start_process_group
from mmconvmixer.engine.metrics import CalibrationError, PerClassAccuracy
from mmconvmixer.engine.optim.amp import AmpOptimWrapper
from mmconvmixer.engine.optim.layer_decay import LearningRateDecayOptimWrapperConstructor
from mmconvmixer.engine.optim.sam import AmpSAMOptimWrapper, SAMOptimWrapper
from mmconvmixer.engine.optim.schedules import PiecewiseLinearLR, WarmUpCosineLR
from mmconvmixer.engine.runner import Runner

__all__ = ['AmpOptimWrapper', 'AmpSAMOptimWrapper', 'CalibrationError', 'CheckpointHook',
           'Evaluator', 'FrozenLayersHook', 'LearningRateDecayOptimWrapperConstructor',
           'PerClassAccuracy', 'PiecewiseLinearLR', 'ProgressHook', 'RandomStateHook', 'Runner',
           'SAMOptimWrapper', 'ShowHook', 'UnreadableHook', 'WarmUpCosineLR',
           'start_process_group']

from .amp import AmpOptimWrapper
from .checkpoint_hook import CheckpointHook
from .evaluator import Evaluator
from .freeze import FrozenLayersHook
from .launch import start_process_group
from .layer_decay import LearningRateDecayOptimWrapperConstructor
from .metrics import CalibrationError, PerClassAccuracy
from .progress_hook import ProgressHook
from .random_state_hook import RandomStateHook
from .runner import Runner
from .sam import AmpSAMOptimWrapper, SAMOptimWrapper
from .schedules import PiecewiseLinearLR, WarmUpCosineLR
from .show_hook import ShowHook
from .unreadable_hook import UnreadableHook

__all__ = ['AmpOptimWrapper', 'AmpSAMOptimWrapper', 'CalibrationError', 'CheckpointHook',
           'Evaluator', 'FrozenLayersHook', 'LearningRateDecayOptimWrapperConstructor',
           'PerClassAccuracy', 'PiecewiseLinearLR', 'ProgressHook', 'RandomStateHook', 'Runner',
           'SAMOptimWrapper', 'ShowHook', 'UnreadableHook', 'WarmUpCosineLR',
           'start_process_group']

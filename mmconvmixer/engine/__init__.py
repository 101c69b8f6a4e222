from .amp import AmpOptimWrapper
from .checkpoint_hook import CheckpointHook
from .evaluator import Evaluator
from .launch import start_process_group
from .metrics import CalibrationError, PerClassAccuracy
from .progress_hook import ProgressHook
from .random_state_hook import RandomStateHook
from .runner import Runner
from .sam import AmpSAMOptimWrapper, SAMOptimWrapper
from .schedules import PiecewiseLinearLR
from .show_hook import ShowHook
from .unreadable_hook import UnreadableHook

__all__ = ['AmpOptimWrapper', 'AmpSAMOptimWrapper', 'CalibrationError', 'CheckpointHook',
           'Evaluator', 'PerClassAccuracy', 'PiecewiseLinearLR', 'ProgressHook',
           'RandomStateHook', 'Runner', 'SAMOptimWrapper', 'ShowHook', 'UnreadableHook',
           'start_process_group']

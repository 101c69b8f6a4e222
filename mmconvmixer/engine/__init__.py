"""What runs a training or a test: the runner, its hooks, optimizers and metrics."""
from mmconvmixer.engine.evaluator import Evaluator
from mmconvmixer.engine.hooks import (
    CheckpointHook,
    FreezeHook,
    ProgressHook,
    RandomStateHook,
    ShowHook,
    UnreadableHook,
)
from mmconvmixer.engine.launch import start_process_group
from mmconvmixer.engine.metrics import CalibrationError, PerClassAccuracy
from mmconvmixer.engine.optim import (
    AmpOptimWrapper,
    AmpSAMOptimWrapper,
    LearningRateDecayOptimWrapperConstructor,
    MuonAdamW,
    MuonOptimWrapperConstructor,
    PiecewiseLinearLR,
    SAMOptimWrapper,
    WarmUpCosineLR,
)
from mmconvmixer.engine.runner import Runner

__all__ = ['AmpOptimWrapper', 'AmpSAMOptimWrapper', 'CalibrationError', 'CheckpointHook',
           'Evaluator', 'FreezeHook', 'LearningRateDecayOptimWrapperConstructor', 'MuonAdamW',
           'MuonOptimWrapperConstructor', 'PerClassAccuracy', 'PiecewiseLinearLR', 'ProgressHook',
           'RandomStateHook', 'Runner', 'SAMOptimWrapper', 'ShowHook', 'UnreadableHook',
           'WarmUpCosineLR', 'start_process_group']

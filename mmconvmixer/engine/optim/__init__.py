"""Mixed precision, SAM and Muon, layer-wise decay, and learning-rate schedules."""
from mmconvmixer.engine.optim.amp import AmpOptimWrapper
from mmconvmixer.engine.optim.layer_decay import LearningRateDecayOptimWrapperConstructor
from mmconvmixer.engine.optim.muon import MuonAdamW, MuonOptimWrapperConstructor
from mmconvmixer.engine.optim.sam import AmpSAMOptimWrapper, SAMOptimWrapper
from mmconvmixer.engine.optim.schedules import PiecewiseLinearLR, WarmUpCosineLR

__all__ = ['AmpOptimWrapper', 'AmpSAMOptimWrapper', 'LearningRateDecayOptimWrapperConstructor',
           'MuonAdamW', 'MuonOptimWrapperConstructor', 'PiecewiseLinearLR', 'SAMOptimWrapper',
           'WarmUpCosineLR']

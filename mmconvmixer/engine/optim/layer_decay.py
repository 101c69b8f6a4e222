"""Lower learning rates the nearer a layer is to the image."""
import inspect
from collections.abc import Callable
from functools import partial

from mmpretrain import engine as theirs
from mmpretrain.registry import OPTIMIZERS
from torch import nn

from mmconvmixer.engine.optim.layer_depth import layer_depth


class LearningRateDecayOptimWrapperConstructor(theirs.LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's, also for backbones without `get_layer_depth`, such as its `MlpMixer`.

    `paramwise_cfg=dict(layer_decay_rate=r)`: the head learns at the optimizer's rate,
    the last block at r times that, the one before at r * r, and so on to the stem.
    An optimizer whose config gives no weight decay has its own default (mmpretrain's
    ends in a KeyError).
    """

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '',
                   get_layer_depth: Callable | None = None, **optimizer_cfg) -> None:
        if self.base_wd is None:
            kind = self.optimizer_cfg['type']
            kind = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
            default = inspect.signature(kind).parameters.get('weight_decay')
            self.base_wd = default.default if default else 0.
        super().add_params(params, module, prefix=prefix, get_layer_depth=(
            get_layer_depth or partial(layer_depth, module)), **optimizer_cfg)

"""Layer-wise decay: lower learning rates for the layers nearer to the image."""
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from mmpretrain import engine as mmpretrain_engine
from mmpretrain.registry import OPTIMIZERS
from torch import nn

from mmconvmixer.engine.optim.layer_depth import layer_depth


class LearningRateDecayOptimWrapperConstructor(
        mmpretrain_engine.LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's class, also for backbones without `get_layer_depth`, such as its `MlpMixer`.

    With `paramwise_cfg=dict(layer_decay_rate=r)`, the head trains at the optimizer's learning
    rate, the last block at r times that rate, the block before at r * r times, and so on down
    to the stem. If the config has no weight decay, the optimizer's default applies, for which
    mmpretrain's class raises a KeyError.
    """

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '',
                   get_layer_depth: Callable | None = None, **optimizer_cfg: Any) -> None:
        """Add a group of parameters for each layer, as in mmpretrain's class."""
        if self.base_wd is None:
            kind = self.optimizer_cfg['type']
            kind = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
            default = inspect.signature(kind).parameters.get('weight_decay')
            self.base_wd = default.default if default else 0.
        super().add_params(params, module, prefix=prefix, get_layer_depth=(
            get_layer_depth or partial(layer_depth, module)), **optimizer_cfg)

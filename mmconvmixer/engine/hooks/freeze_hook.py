"""Train only the last layers of a network: the config key `freeze`."""
import re

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmconvmixer.engine.optim.layer_depth import layer_depth
from mmconvmixer.errors import BadConfig


def frozen_parameters(model: nn.Module, freeze: str | None) -> list[str]:
    """Return the names of the parameters that are not trained.

    Args:
        model: a classifier.
        freeze: 'none' or None to train all of them; 'head' to train only the head; or 'last-N'
            to train the last N blocks and what follows them.

    Raises:
        BadConfig: `freeze` has another value or more blocks than the backbone, or the model
            has no head to train.
    """
    last = re.fullmatch(r'last-([1-9]\d*)', freeze) if isinstance(freeze, str) else None
    if freeze in (None, 'none'):
        return []
    names = [name for name, _ in model.named_parameters()]
    if freeze == 'head':
        if not any(name.startswith('head.') for name in names):
            raise BadConfig("freeze = 'head' trains only the head, but the model has none; "
                            "use 'last-N' or 'none'")
        return [name for name in names if not name.startswith('head.')]
    if last is None:
        raise BadConfig(f"freeze is {freeze!r}, expected 'head', 'last-N' (such as 'last-2') or "
                        "'none'")
    try:
        layers = {name: layer_depth(model, name) for name in names}
    except ValueError as error:
        raise BadConfig(f"freeze = {freeze!r} can't find the model's blocks: {error}") from error
    depth = next(iter(layers.values()))[1] - 2
    if int(last[1]) > depth:
        raise BadConfig(f"freeze = {freeze!r}, but the backbone has {depth} blocks: 'last-1' to "
                        f"'last-{depth}' are possible")
    return [name for name, (layer, _) in layers.items() if layer <= depth - int(last[1])]


def freeze_parameters(model: nn.Module, freeze: str | None) -> int:
    """Turn off the gradients of `frozen_parameters`; return how many numbers these hold."""
    frozen = [model.get_parameter(name) for name in frozen_parameters(model, freeze)]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in frozen)


class FreezeHook(Hook):
    """Keep frozen modules in eval mode, with fixed BatchNorm statistics and without dropout.

    Training loops repeatedly put the whole network into training mode.
    """

    def before_train(self, runner: Runner) -> None:
        """Find the modules whose parameters are all frozen."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._frozen = [module for module in model.modules() if _is_frozen(module)]

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Put those modules back into eval mode."""
        for module in self._frozen:
            if module.training:
                module.eval()


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(each.requires_grad for each in parameters)

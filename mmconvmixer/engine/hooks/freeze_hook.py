"""Training only the last layers of a network: the config key `freeze`."""
import re

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmconvmixer.engine.optim.layer_depth import layer_depth
from mmconvmixer.errors import BadConfig


def frozen_parameters(model: nn.Module, freeze: str | None) -> list[str]:
    """Return the names of the parameters that `freeze` keeps as they are.

    Args:
        model: a classifier.
        freeze: 'none'; 'head', which trains the head alone; or 'last-N', which trains the
            last N blocks and what follows them.

    Raises:
        BadConfig: something else, more blocks than there are, or a network without
            a head.
    """
    last = re.fullmatch(r'last-([1-9]\d*)', freeze) if isinstance(freeze, str) else None
    if freeze in (None, 'none'):
        return []
    names = [name for name, _ in model.named_parameters()]
    if freeze == 'head':
        if not any(name.startswith('head.') for name in names):
            raise BadConfig("freeze = 'head' trains the head alone, but the model has none")
        return [name for name in names if not name.startswith('head.')]
    if last is None:
        raise BadConfig(f"freeze is {freeze!r}, expected 'head', 'last-N' (such as 'last-2') or "
                        "'none'")
    try:
        layers = {name: layer_depth(model, name) for name in names}
    except ValueError as error:
        raise BadConfig(f"freeze = {freeze!r} can't tell the model's blocks: {error}") from error
    depth = next(iter(layers.values()))[1] - 2
    if int(last[1]) > depth:
        raise BadConfig(f"freeze = {freeze!r}, but the backbone has {depth} blocks: 'last-1' to "
                        f"'last-{depth}'")
    return [name for name, (layer, _) in layers.items() if layer <= depth - int(last[1])]


def freeze_parameters(model: nn.Module, freeze: str | None) -> int:
    """Take the gradient from what `frozen_parameters` names; return how many numbers that is."""
    frozen = [model.get_parameter(name) for name in frozen_parameters(model, freeze)]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in frozen)


class FreezeHook(Hook):
    """Keep what is frozen in eval mode: its BatchNorm statistics don't move, it drops nothing.

    Training loops put the whole network into training mode again and again.
    """

    def before_train(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._frozen = [module for module in model.modules() if _is_frozen(module)]

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        for module in self._frozen:
            if module.training:
                module.eval()


def _is_frozen(module: nn.Module) -> bool:
    own = list(module.parameters())
    return bool(own) and not any(parameter.requires_grad for parameter in own)

"""Whether somebody watches a module's parts: then they can't be computed together."""
from torch import nn


class _OnEveryModule:
    """The hooks that somebody registered for all modules at once."""
    _forward_hooks = nn.modules.module._global_forward_hooks
    _forward_pre_hooks = nn.modules.module._global_forward_pre_hooks
    _backward_hooks = nn.modules.module._global_backward_hooks
    _backward_pre_hooks = nn.modules.module._global_backward_pre_hooks


def observed(module: nn.Module) -> bool:
    """Whether hooks look at the module's parts: then these are called one by one."""
    return any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks
               or part._backward_pre_hooks for part in (*module.modules(), _OnEveryModule))

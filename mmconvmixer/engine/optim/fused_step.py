"""Update the parameters on a CPU in one pass over memory."""
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

_FUSED = (Adagrad, Adam, AdamW, SGD)  # those that torch can fuse on a CPU


def fuse_steps(optim_wrapper: OptimWrapper | OptimWrapperDict) -> None:
    """Let torch's fused kernels update parameters on a CPU, unless the config chooses a way.

    A step of AdamW with the 21 million parameters of ConvMixer-768/32 took 203 ms on two
    cores, and 47 ms fused (docs/notes/cpu_training.md). On a GPU torch decides itself.
    """
    wrappers = (optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict)
                else [optim_wrapper])
    for wrapper in wrappers:
        optimizer = wrapper.optimizer
        if type(optimizer) in _FUSED and _is_on_cpu(optimizer) and not _chooses(optimizer):
            # In the groups, because a checkpoint's groups replace them: a run that began
            # another way goes on in that way.
            for group in optimizer.param_groups:
                group['fused'] = True


def _is_on_cpu(optimizer: Optimizer) -> bool:
    return all(parameter.device.type == 'cpu' and parameter.is_floating_point()
               for group in optimizer.param_groups for parameter in group['params'])


def _chooses(optimizer: Optimizer) -> bool:
    """Whether the config says how to compute, or asks for what fused kernels do not do."""
    return any(group.get('foreach') is not None or group.get('fused') is not None
               or group.get('capturable') or group.get('differentiable')
               for group in optimizer.param_groups)

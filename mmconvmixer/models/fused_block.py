"""ConvMixer's parts through the fused kernels (`ops.fused`)."""
import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch import distributed as dist

from mmconvmixer.errors import FusedKernelsUnavailable
from mmconvmixer.ops import PointwiseConv2d
from mmconvmixer.ops.reference import Origin

IMPLEMENTATIONS = ('auto', 'reference', 'fused')

_TRITON = 3, 3  # tuples in kernels
_CAPABILITY = 8, 0  # bfloat16
_LARGEST_KERNEL = 15  # beyond, compiling takes minutes
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def wanted(impl: str, device: torch.device) -> bool:
    """Whether tensors of this device are to go through the kernels.

    Raises:
        FusedKernelsUnavailable: `impl` insists, and they don't run there.
    """
    if impl == 'reference' or (impl == 'auto' and device.type != 'cuda') \
            or torch.jit.is_tracing():  # a trace shall run, and be counted, anywhere
        return False
    lacking = _lacking(device)
    if lacking and impl == 'fused':
        raise FusedKernelsUnavailable(
            f"impl='fused' needs {lacking}; the input is on {device}. Use impl='auto'.")
    return not lacking


@torch.compiler.assume_constant_result
@cache
def _lacking(device: torch.device) -> str:
    """Return what the kernels need and don't find, '' where they run."""
    if find_spec('triton') is None:
        return 'Triton'
    import triton
    if tuple(map(int, triton.__version__.split('.')[:2])) < _TRITON:
        return f'Triton {".".join(map(str, _TRITON))} or newer, not {triton.__version__},'
    if os.environ.get('TRITON_INTERPRET') == '1':  # for tests
        return ''
    if device.type != 'cuda' or torch.cuda.get_device_capability(device) < _CAPABILITY:
        return f'a CUDA device of compute capability {".".join(map(str, _CAPABILITY))} or newer'
    return ''


def supports(act: nn.Module, norm: nn.Module) -> bool:
    """Whether there are kernels for this activation and this normalization."""
    is_batch_norm = _is(norm, nn.BatchNorm2d) or _is(norm, nn.SyncBatchNorm)
    return is_batch_norm and norm.affine and act_name(act) is not None


def is_as_made(module: nn.Module, kind: type) -> bool:
    """Whether calling the module does what its class does, and nothing else."""
    return _is(module, kind) and module._compiled_call_impl is None


def _is(module: nn.Module, kind: type) -> bool:
    # torch.export hands out modules as subclasses, so that `type` would differ.
    return (isinstance(module, kind) and type(module).forward is kind.forward
            and 'forward' not in vars(module))


def act_name(act: nn.Module) -> str | None:
    """Return the kernels' name of an activation, None if they have none for it."""
    if _is(act, nn.ReLU):
        return 'relu'
    if _is(act, nn.GELU):
        return 'gelu' if act.approximate == 'none' else 'gelu_tanh'
    return None


def mode(x: Tensor, act: nn.Module, *norms: nn.Module) -> str | None:
    """Return 'train', 'infer' or, where the kernels can't do it, None.

    The kernels take statistics of the batch with gradients, or running
    statistics without.
    """
    if compute_dtype(x) not in _DTYPES or not all(supports(act, norm) for norm in norms):
        return None
    if all(norm.training or norm.running_var is None for norm in norms):
        # With other processes, all go one way, whatever the size of their batches.
        return 'train' if x[:, 0].numel() > 1 or _group(norms[0]) else None
    if torch.is_grad_enabled() or any(norm.training or norm.running_var is None
                                      for norm in norms):
        return None
    return 'infer'


def block_mode(block: nn.Sequential, x: Tensor) -> str | None:
    """`mode` of a whole block, whose parts may have been exchanged or wrapped."""
    residual, pointwise, act, norm = block
    if not _is(residual.fn, nn.Sequential) or 'forward' in vars(residual):
        return None
    depthwise, space_act, space_norm = residual.fn
    if not (_is(depthwise, nn.Conv2d) and _is(pointwise, PointwiseConv2d)
            and act_name(space_act) == act_name(act)
            and depthwise.groups == depthwise.in_channels == depthwise.out_channels
            and depthwise.padding == 'same' and depthwise.padding_mode == 'zeros'
            and depthwise.stride == depthwise.dilation == (1, 1)
            and depthwise.kernel_size[0] == depthwise.kernel_size[1] <= _LARGEST_KERNEL
            and depthwise.bias is not None and pointwise.bias is not None):
        return None
    return mode(x, act, space_norm, norm)


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the type that autocast, if it is on, wants of a convolution."""
    device = x.device.type
    if x.dtype is torch.float64:  # autocast leaves it alone
        return x.dtype
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def train_block(block: nn.Sequential, x: Tensor,
                origin: Origin | None = None) -> tuple[Tensor, Origin | None]:
    """The block with the statistics of this batch, which the running ones follow.

    Args:
        origin: what the call of the block before returned beside x; then x need
            not be kept for the backward pass.
    """
    from mmconvmixer.ops import fused
    residual, pointwise, act, norm = block
    depthwise, _, space_norm = residual.fn
    x = x.to(compute_dtype(x))
    if not isinstance(residual.drop_path, nn.Identity):
        u = fused.depthwise_conv(x, depthwise.weight, depthwise.bias)
        y = x + residual.drop_path(train_act_norm(u, act, space_norm))
        return train_act_norm(pointwise(y), act, norm), None
    out, space_mean, space_var, mean, variance, count, z = fused.block(
        x, depthwise.weight, depthwise.bias, space_norm.weight, space_norm.bias,
        pointwise.weight, pointwise.bias, norm.weight, norm.bias, space_norm.eps, norm.eps,
        act_name(act), _group(norm), origin)
    _follow(space_norm, space_mean, space_var, count)
    _follow(norm, mean, variance, count)
    return out, Origin(z, mean, variance, norm.weight, norm.bias, norm.eps, act_name(act))


def infer_block(block: nn.Sequential, x: Tensor) -> Tensor:
    """The block with the running statistics, without gradients."""
    from mmconvmixer.ops import fused
    residual, pointwise, act, norm = block
    depthwise, _, space_norm = residual.fn
    x = fused.depthwise_act_affine(x.to(compute_dtype(x)), depthwise.weight, depthwise.bias,
                                   *_affine(space_norm), act_name(act))
    return fused.pointwise_act_affine(x, pointwise.weight, pointwise.bias, *_affine(norm),
                                      act_name(act))


def train_act_norm(x: Tensor, act: nn.Module, norm: nn.Module) -> Tensor:
    """norm(act(x)) with the statistics of this batch, which the running ones follow."""
    from mmconvmixer.ops import fused
    out, mean, variance, count = fused.act_norm(
        x, norm.weight, norm.bias, norm.eps, act_name(act), group=_group(norm))
    _follow(norm, mean, variance, count)
    return out


def infer_act_norm(x: Tensor, act: nn.Module, norm: nn.Module) -> Tensor:
    """norm(act(x)) with the running statistics, without gradients."""
    from mmconvmixer.ops import fused
    return fused.act_affine(x, *_affine(norm), act_name(act))


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    scale = norm.weight.float() * torch.rsqrt(norm.running_var.float() + norm.eps)
    return scale, norm.bias.float() - norm.running_mean.float() * scale


def _group(norm: nn.Module) -> dist.ProcessGroup | None:
    """Return the processes over whose batches together a SyncBN takes its statistics."""
    if not isinstance(norm, nn.SyncBatchNorm) or not norm.training \
            or not dist.is_available() or not dist.is_initialized():
        return None
    group = norm.process_group or dist.group.WORLD
    return group if dist.get_world_size(group) > 1 else None


@torch.no_grad()
def _follow(norm: nn.Module, mean: Tensor, variance: Tensor, count: Tensor) -> None:
    """Move the running statistics towards those of a batch, as nn.BatchNorm2d does."""
    if norm.running_mean is None or not norm.training or not norm.track_running_stats:
        return
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    momentum = (1. / norm.num_batches_tracked if norm.momentum is None
                else norm.momentum)
    unbiased = variance * (count / (count - 1))
    for running, new in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        running.copy_(running + momentum * (new - running))

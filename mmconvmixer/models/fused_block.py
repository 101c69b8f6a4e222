"""Stem and block of a ConvMixer through the fused kernels (`ops.fused`)."""
import torch
from torch import Tensor, nn
from torch import distributed as dist

from mmconvmixer.errors import FusedKernelsUnavailable
from mmconvmixer.models.residual import behaves_as, drops_samples, is_usual
from mmconvmixer.ops import PointwiseConv2d, is_transformed
from mmconvmixer.ops.kernels import dtypes_for, missing
from mmconvmixer.ops.reference import BlockOptions, BlockWeights, Origin

IMPLEMENTATIONS = ('auto', 'reference', 'fused')

_LEAST_MAP = 8192  # channels x positions of an image; calling a CPU's kernels takes a millisecond
_LARGEST_KERNEL = 15  # larger ones take minutes to compile for a GPU


def wanted(impl: str, x: Tensor, training: bool) -> bool:
    """Whether a model with this `impl` uses the kernels for a tensor like x.

    Raises:
        FusedKernelsUnavailable: `impl` is 'fused', and the kernels do not run on its device.
    """
    if impl == 'reference' or _is_traced(x):
        return False
    device = x.device
    if impl == 'auto' and not (device.type == 'cuda' or _wins_on_cpu(x, training)):
        return False
    lacks = missing(device)
    if lacks and impl == 'fused':
        raise FusedKernelsUnavailable(
            f"impl='fused' needs {lacks}; the input is on {device}. Use impl='auto'.")
    return not lacks


def lacking(impl: str, x: Tensor, training: bool) -> str:
    """Return what a model with impl='auto' would need to train faster on a CPU, '' if nothing."""
    if impl != 'auto' or _is_traced(x) or not _wins_on_cpu(x, training):
        return ''
    return missing(x.device)


def _is_traced(x: Tensor) -> bool:
    """Whether what is computed has to run on every device, or for tensors that x stands for."""
    return is_transformed(x) or torch.jit.is_tracing()


def _wins_on_cpu(x: Tensor, training: bool) -> bool:
    """Whether a CPU's kernels are faster than plain PyTorch, see docs/notes/cpu_training.md.

    The size of the batch is not considered: the last batch of an epoch, and each process's
    share of a batch, are computed like the others.
    """
    return (x.device.type == 'cpu' and training and torch.is_grad_enabled()
            and compute_dtype(x) is torch.float32 and x.shape[1:].numel() >= _LEAST_MAP)


def supports(act: nn.Module, norm: nn.Module) -> bool:
    """Whether there are kernels for this activation and this normalization."""
    is_batch_norm = behaves_as(norm, nn.BatchNorm2d) or behaves_as(norm, nn.SyncBatchNorm)
    return is_batch_norm and norm.affine and act_name(act) is not None


def is_as_made(module: nn.Module, kind: type) -> bool:
    """Whether calling the module only runs `forward` of the class `kind`, hooks aside."""
    return behaves_as(module, kind) and module._compiled_call_impl is None


def act_name(act: nn.Module) -> str | None:
    """Return the kernels' name for an activation, None if they do not have it."""
    if behaves_as(act, nn.ReLU):
        return 'relu'
    if behaves_as(act, nn.GELU):
        return 'gelu' if act.approximate == 'none' else 'gelu_tanh'
    return None


def mode(x: Tensor, act: nn.Module, *norms: nn.Module) -> str | None:
    """Return 'train', 'infer', or None if the kernels can't compute the norms of act(x).

    They either use the batch's statistics ('train'), or running statistics without
    gradients ('infer').
    """
    if compute_dtype(x) not in dtypes_for(x.device) \
            or not all(supports(act, norm) for norm in norms):
        return None
    if all(norm.training or norm.running_var is None for norm in norms):
        # Several processes with one SyncBN have to choose alike, whatever their batch sizes.
        return 'train' if x[:, 0].numel() > 1 or _group(norms[0]) else None
    if torch.is_grad_enabled() or any(norm.training or norm.running_var is None
                                      for norm in norms):
        return None
    return 'infer'


def block_mode(block: nn.Sequential, x: Tensor) -> str | None:
    """Return the `mode` of a whole block, or None if a part was exchanged or wrapped."""
    residual, pointwise, act, norm = block
    if not is_usual(residual):
        return None
    depthwise, space_act, space_norm = residual.fn
    if not (behaves_as(depthwise, nn.Conv2d) and behaves_as(pointwise, PointwiseConv2d)
            and act_name(space_act) == act_name(act)
            and depthwise.groups == depthwise.in_channels == depthwise.out_channels
            and depthwise.padding == 'same' and depthwise.padding_mode == 'zeros'
            and depthwise.stride == depthwise.dilation == (1, 1)
            and depthwise.kernel_size[0] == depthwise.kernel_size[1] <= _LARGEST_KERNEL
            and depthwise.bias is not None and pointwise.bias is not None):
        return None
    found = mode(x, act, space_norm, norm)
    # The kernels for inference leave stochastic depth out.
    return None if found == 'infer' and drops_samples(residual) else found


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which a convolution of x computes, with autocast or without."""
    device = x.device.type
    if x.dtype is torch.float64:  # autocast does not change it
        return x.dtype
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def train_block(block: nn.Sequential, x: Tensor,
                origin: Origin | None = None) -> tuple[Tensor, Origin | None]:
    """Compute a block with the batch's statistics, and update the running ones.

    Args:
        origin: what the call for the block before returned beside x. With it, x need
            not be kept for the backward pass.

    Returns:
        The result, and the origin for the block that follows directly, if any.
    """
    from mmconvmixer.ops import fused
    residual, pointwise, act, norm = block
    depthwise, _, space_norm = residual.fn
    x = x.to(compute_dtype(x))
    if not isinstance(residual.drop_path, nn.Identity):
        u = fused.depthwise_conv(x, depthwise.weight, depthwise.bias)
        y = x + residual.drop_path(train_act_norm(u, act, space_norm))
        return train_act_norm(pointwise(y), act, norm), None
    name = act_name(act)
    result = fused.block(
        x,
        BlockWeights(depthwise.weight, depthwise.bias, space_norm.weight, space_norm.bias,
                     pointwise.weight, pointwise.bias, norm.weight, norm.bias),
        BlockOptions(space_norm.eps, norm.eps, name, _group(norm)), origin)
    _update_running_statistics(space_norm, result.space_mean, result.space_var, result.count)
    _update_running_statistics(norm, result.channel_mean, result.channel_var, result.count)
    return result.out, Origin(result.z, result.channel_mean, result.channel_var, norm.weight,
                              norm.bias, norm.eps, name)


def infer_block(block: nn.Sequential, x: Tensor) -> Tensor:
    """Compute a block with running statistics, without gradients."""
    from mmconvmixer.ops import fused
    residual, pointwise, act, norm = block
    depthwise, _, space_norm = residual.fn
    x = fused.depthwise_act_affine(x.to(compute_dtype(x)), depthwise.weight, depthwise.bias,
                                   *_affine(space_norm), act_name(act))
    return fused.pointwise_act_affine(x, pointwise.weight, pointwise.bias, *_affine(norm),
                                      act_name(act))


def train_act_norm(x: Tensor, act: nn.Module, norm: nn.Module) -> Tensor:
    """Return norm(act(x)) with the batch's statistics, and update the running ones."""
    from mmconvmixer.ops import fused
    out, mean, variance, count = fused.act_norm(
        x, norm.weight, norm.bias, norm.eps, act_name(act), group=_group(norm))
    _update_running_statistics(norm, mean, variance, count)
    return out


def infer_act_norm(x: Tensor, act: nn.Module, norm: nn.Module) -> Tensor:
    """Return norm(act(x)) with running statistics, without gradients."""
    from mmconvmixer.ops import fused
    return fused.act_affine(x, *_affine(norm), act_name(act))


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    scale = norm.weight.float() * torch.rsqrt(norm.running_var.float() + norm.eps)
    return scale, norm.bias.float() - norm.running_mean.float() * scale


def _group(norm: nn.Module) -> dist.ProcessGroup | None:
    """Return the processes over whose batches a SyncBN takes its statistics, if several."""
    if not isinstance(norm, nn.SyncBatchNorm) or not norm.training \
            or not dist.is_available() or not dist.is_initialized():
        return None
    group = norm.process_group or dist.group.WORLD
    return group if dist.get_world_size(group) > 1 else None


@torch.no_grad()
def _update_running_statistics(norm: nn.Module, mean: Tensor, variance: Tensor,
                               count: Tensor) -> None:
    """Move the running statistics towards a batch's, as nn.BatchNorm2d does."""
    if norm.running_mean is None or not norm.training or not norm.track_running_stats:
        return
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    momentum = (1. / norm.num_batches_tracked if norm.momentum is None
                else norm.momentum)
    unbiased = variance * (count / (count - 1))
    for running, new in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        running.copy_(running + momentum * (new - running))

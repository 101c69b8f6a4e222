"""Choose how a ConvMixer is executed, once for each call of a model.

The same function can be computed in four ways:

- reference: every module is called, in the order of the paper, and hooks see every part;
- in place: in eager inference, results overwrite what they were computed from (`ops.in_place`);
- fused: through the kernels of `ops.fused` (`models.fused_block`);
- folded: `deploy.fuse` makes another module of a trained model.

Under torch.func's transforms and torch.fx, the reference is computed.

A block is executed in place or through kernels only if it is as this package builds it
and none of its modules has hooks. Otherwise its modules are called.
"""
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmconvmixer.models import fused_block
from mmconvmixer.models.residual import behaves_as, drops_samples, is_usual
from mmconvmixer.ops import PointwiseConv2d, act_, act_norm_, affine_of, may_overwrite
from mmconvmixer.ops.reference import Origin

# Computes a block: (block, x, origin of x) -> (result, its origin). Only the kernels
# use it, see `fused_block.train_block`.
Step = Callable[[nn.Module, Tensor, Origin | None], tuple[Tensor, Origin | None]]


def choose_steps(blocks: Sequence[nn.Module], x: Tensor, impl: str, kind: type) -> list[Step]:
    """Return how to compute each block of a model.

    Args:
        blocks: the blocks of the model, in order.
        x: the first block's input; those of the others have its shape and dtype.
        impl: of the model, see `ConvMixer`.
        kind: class of the blocks. Blocks that were exchanged or wrapped are called.

    Raises:
        FusedKernelsUnavailable: `impl` is 'fused', and the kernels do not run on x's device.
    """
    fused = fused_block.wanted(impl, x, any(block.training for block in blocks))
    in_place = may_overwrite(x)
    if not (fused or in_place):
        return [_called] * len(blocks)
    return [_faster(block, x, fused, in_place) or _called
            if fused_block.is_as_made(block, kind) else _called for block in blocks]


def with_fastest_step(forward: Callable) -> Callable:
    """Choose the fastest way also when a block is called directly; `forward` is its reference."""
    @wraps(forward)
    def chosen(block: nn.Module, x: Tensor) -> Tensor:
        fused = fused_block.wanted(block.impl, x, block.training)
        step = _faster(block, x, fused, may_overwrite(x))
        return forward(block, x) if step is None else step(block, x, None)[0]
    return chosen


def stem_act_norm(stem: nn.Module, x: Tensor) -> Tensor:
    """Return norm(act(x)) for the result x of the stem's convolution."""
    _, act, norm = stem
    if fused_block.wanted(stem.impl, x, stem.training) and not _is_observed(stem):
        mode = fused_block.mode(x, act, norm)
        if mode == 'train':
            return fused_block.train_act_norm(x, act, norm)
        if mode == 'infer':
            return fused_block.infer_act_norm(x, act, norm)
    return norm(act(x))


def recomputed_in_backward(step: Step, block: nn.Module, x: Tensor) -> Tensor:
    """Compute a block, and recompute it in the backward pass to save memory."""
    return checkpoint(lambda x: step(block, x, None)[0], x, use_reentrant=False,
                      context_fn=lambda: (nullcontext(), _statistics_kept(block)))


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    # The second computation would count every batch twice in the running statistics, so
    # it updates copies of them.
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    buffers = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({name: buffer.clone() for name, buffer in norm._buffers.items()
                              if buffer is not None})
    try:
        yield
    finally:
        for norm, before in zip(norms, buffers, strict=True):
            norm._buffers.update(before)


def _faster(block: nn.Module, x: Tensor, fused: bool, in_place: bool) -> Step | None:
    """Return a step that is faster than calling the block's modules, or None."""
    if not (fused or in_place) or _is_observed(block):
        return None
    mode = fused_block.block_mode(block, x) if fused else None
    if mode == 'train':
        return fused_block.train_block
    if mode == 'infer':
        return _fused_inference
    return _computed_in_place if in_place and _can_be_in_place(block, x) else None


def _called(block: nn.Module, x: Tensor, origin: Origin | None) -> tuple[Tensor, None]:
    return block(x), None


def _fused_inference(block: nn.Module, x: Tensor, origin: Origin | None) -> tuple[Tensor, None]:
    return fused_block.infer_block(block, x), None


def _computed_in_place(block: nn.Module, x: Tensor,
                       origin: Origin | None) -> tuple[Tensor, None]:
    residual, mix_channels, act, norm = block
    mix_space, space_act, space_norm = residual.fn
    # x + norm(y) = (x + scale * y) + shift: the first part is one pass over memory, and
    # the pointwise product takes the shift into its bias.
    y = act_(mix_space(x), space_act)
    scale, shift = affine_of(space_norm)
    y = torch.addcmul(x, y, scale[:, None, None], out=y)
    return act_norm_(mix_channels.forward_shifted(y, shift), act, norm), None


def _can_be_in_place(block: nn.Module, x: Tensor) -> bool:
    """Whether the block is a function of running statistics and made of the usual parts."""
    residual, mix_channels, act, norm = block
    if block.training or not is_usual(residual) or drops_samples(residual):
        return False
    mix_space, space_act, space_norm = residual.fn
    return (behaves_as(mix_channels, PointwiseConv2d) and mix_channels.bias is not None
            and behaves_as(mix_space, nn.Conv2d)
            and behaves_as(space_act, type(space_act)) and behaves_as(act, type(act))
            and all(behaves_as(each, nn.BatchNorm2d) and not each.training and each.affine
                    and each.running_var is not None and each.weight.dtype == x.dtype
                    for each in (space_norm, norm)))


class _GlobalHooks:
    """The hooks that are registered for all modules of the process."""
    _forward_hooks = nn.modules.module._global_forward_hooks
    _forward_pre_hooks = nn.modules.module._global_forward_pre_hooks
    _backward_hooks = nn.modules.module._global_backward_hooks
    _backward_pre_hooks = nn.modules.module._global_backward_pre_hooks


def _is_observed(module: nn.Module) -> bool:
    """Whether the module or one of its parts has hooks, which must see every part called."""
    return any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks
               or part._backward_pre_hooks for part in (*module.modules(), _GlobalHooks))

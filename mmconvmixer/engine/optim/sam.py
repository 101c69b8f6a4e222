"""Sharpness-Aware Minimisation: a step by the gradient of the worst loss nearby.

    e = rho * g / ||g||                  g: the gradient at the weights w
    w <- step(w, gradient at w + e)

adaptive: e = rho * T^2 g / ||T g||, T = |w| + eta elementwise
"""
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from numbers import Real

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmconvmixer.engine.optim.amp import AmpOptimWrapper
from mmconvmixer.engine.random_state import random_state, set_random_state
from mmconvmixer.errors import BadConfig


def check_radius(rho: float, eta: float = 0.) -> None:
    """Raise BadConfig if `rho` or `eta` is no finite number from 0."""
    for name, value in (('rho', rho), ('eta', eta)):
        if isinstance(value, bool) or not isinstance(value, Real) \
                or not 0 <= value < math.inf:
            raise BadConfig(f'optim_wrapper.{name} is {value!r}, but must be a finite number from '
                            '0 (rho, how far SAM climbs: 0.05 to 1 in the papers)')


@torch.no_grad()
def climb(weights: Sequence[Tensor], gradients: Sequence[Tensor], rho: float,
          adaptive: bool = False, eta: float = 0.01) -> None:
    """Add e to `weights`, in place; `gradients` are used up.

    A constant factor on the gradients, such as a loss scale, changes nothing.
    Weights whose gradient is zero or not finite as a whole stay as they are.
    """
    if not weights:
        return
    if adaptive:
        scales = torch._foreach_abs(weights)
        torch._foreach_add_(scales, eta)
        torch._foreach_mul_(gradients, scales)
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    # Waits for the GPU once a step, which costs the launch of a kernel, and keeps
    # an overflow of the scaled float16 gradient out of the second pass.
    if not torch.finfo(norm.dtype).tiny <= norm.item() < math.inf:
        return
    if adaptive:
        torch._foreach_mul_(gradients, scales)
    torch._foreach_add_(weights, gradients, alpha=rho / norm.item())


@contextmanager
def put_back(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Give `tensors` at the end the values they have now, to the last bit."""
    kept = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, kept, strict=True):
                tensor.copy_(value)


@dataclass
class Call:
    """A call of a model, with the state of the random generators before it."""
    model: nn.Module
    args: tuple
    kwargs: dict
    random_state: dict

    def repeat(self) -> Tensor:
        """Call once more, with the same random numbers, and return the loss ()."""
        now = random_state()
        set_random_state(self.random_state)
        try:
            losses = self.model(*self.args, **self.kwargs)
        finally:
            set_random_state(now)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if hasattr(model, 'parse_losses'):
            return model.parse_losses(losses)[0]
        if isinstance(losses, Tensor) and losses.ndim == 0:
            return losses
        raise BadConfig(f'SAM repeats the forward pass and needs its loss, but '
                        f'{type(model).__name__} neither has parse_losses (mmengine\'s '
                        'BaseModel does) nor returns a scalar')


class _SharpnessAware:
    """What comes over `OptimWrapper` or `AmpOptimWrapper`: `backward` makes two passes."""

    def _start(self, rho: float, adaptive: bool, eta: float) -> None:
        check_radius(rho, eta)
        self.rho, self.adaptive, self.eta = rho, adaptive, eta
        self._calls: list[Call] = []

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Keep the call of `model` that follows; its gradients stay on this rank.

        Raises:
            BadConfig: DistributedDataParallel with `static_graph=True`.
        """
        if getattr(model, 'static_graph', False):
            raise BadConfig('model_wrapper_cfg.static_graph is True, with which PyTorch\'s DDP '
                            'averages all gradients; SAM\'s first stay apart: leave it out')

        def keep(module, args, kwargs):
            self._calls.append(Call(module, args, kwargs, random_state()))

        self._calls.clear()
        # DDP decides while it computes forward whether the gradients will be averaged.
        own_rank = model.no_sync() if hasattr(model, 'no_sync') else nullcontext()
        # First of all hooks: the repeated call goes through the others again.
        handle = model.register_forward_pre_hook(keep, prepend=True, with_kwargs=True)
        try:
            with super().optim_context(model), own_rank:
                yield
        finally:
            handle.remove()

    def backward(self, loss: Tensor, **kwargs) -> None:
        """Add the gradient at the perturbed weights to `.grad`.

        Args:
            loss: (), of the call made in `optim_context`, as `scale_loss` returns it.
            kwargs: of both `Tensor.backward`.

        Raises:
            RuntimeError: not one call of the model in `optim_context` before.
            BadConfig: the model has no loss that could be computed again.
        """
        if len(self._calls) != 1:
            raise RuntimeError(f'SAM repeats the forward pass, but found {len(self._calls)} of '
                               'them: call the model once, in `with optim_wrapper.'
                               'optim_context(model)`, before each backward pass')
        call = self._calls.pop()
        weights = [weight for group in self.optimizer.param_groups
                   for weight in group['params'] if weight.requires_grad]
        gradients = self._first_gradients(weights, loss, **kwargs)
        reached = [weight for weight, gradient in zip(weights, gradients, strict=True)
                   if gradient is not None]
        # Buffers too: BatchNorm's statistics, and whatever else a forward pass counts.
        with put_back(reached), put_back(list(call.model.buffers())):
            climb(reached, [gradient for gradient in gradients if gradient is not None],
                  self.rho, self.adaptive, self.eta)
            del gradients
            with super().optim_context(call.model):
                perturbed = call.repeat()
            super().backward(self.scale_loss(perturbed), **kwargs)

    def _first_gradients(self, weights: Sequence[Tensor], loss: Tensor,
                         **kwargs) -> list[Tensor | None]:
        """Return the gradients at the weights; what `.grad` has accumulated stays there."""
        accumulated = [weight.grad for weight in weights]
        for weight in weights:
            weight.grad = None
        super().backward(loss, **kwargs)
        self._inner_count -= 1  # two backward passes, one iteration
        gradients = [weight.grad for weight in weights]
        for weight, gradient in zip(weights, accumulated, strict=True):
            weight.grad = gradient
        return gradients


class SAMOptimWrapper(_SharpnessAware, OptimWrapper):
    """Sharpness-Aware Minimisation around any optimizer.

        optim_wrapper = dict(type='SAMOptimWrapper', rho=0.15, optimizer=...)

    Each iteration computes the gradient twice: at the weights, and rho further
    up the first; the optimizer steps from the weights by the second. Loss and
    metrics in the log are of the first pass.

    - The second pass is the first at other weights: same batch, same precision
      and same random numbers. With other dropout masks it would be another loss
      than the one that was climbed, and the difference in part their noise.
      After it the generators are as after one pass.
    - BatchNorm: buffers change in the first pass only, at the weights that are
      evaluated and saved.
    - Several processes: each climbs by the gradient of its own batch, and only
      the second gradients are averaged: the m-sharpness of Foret et al. (section
      4.1), with m = the batch of one process, which generalized better there
      than one climb for all, and needs no more communication than a plain step.
    - `accumulative_counts`: each batch climbs by its own gradient, for the same
      reason; the second gradients accumulate.
    - `clip_grad` clips the second gradient, as accumulated.
    - A first gradient that is zero or not finite: the second pass is at the
      weights themselves.
    - Nothing is kept between iterations: checkpoints are those of the plain
      wrapper, and resume as theirs do.

    Beside the plain wrapper's memory it needs that of the weights once (their
    copy; the gradients are there in turn).

    Args:
        optimizer: the optimizer to step with.
        rho: length of the climb, in the norm over all weights; a number from 0.
            Foret et al. take 0.05 for ResNets; Chen et al. more for MLP-Mixers.
        adaptive: ASAM, which measures the climb of each weight by its size.
            Its rho is about ten times as large (Kwon et al.: 0.5 on CIFAR-10).
        eta: with `adaptive`, added to the sizes.
        accumulative_counts: iterations per step.
        clip_grad: as in `OptimWrapper`.

    Raises:
        BadConfig: `rho` or `eta` negative or no finite number.

    Sources: Foret et al. 2021 (arXiv 2010.01412); Kwon et al. 2021, ASAM (arXiv
    2102.11600); Chen, Hsieh, Gong 2022, "When Vision Transformers Outperform
    ResNets" (arXiv 2106.01548).
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float = 0.05,
                 adaptive: bool = False, eta: float = 0.01, accumulative_counts: int = 1,
                 clip_grad: dict | None = None):
        super().__init__(optimizer, accumulative_counts, clip_grad)
        self._start(rho, adaptive, eta)


class AmpSAMOptimWrapper(_SharpnessAware, AmpOptimWrapper):
    """`SAMOptimWrapper` in mixed precision; `tools/train.py --amp` puts it in its place.

    Both passes run under the same autocast, and both losses are scaled: the
    scale cancels in g / ||g||. Where the first gradient overflows, the second
    one is of the weights themselves, and if it overflows too the step is left
    out and the scale lowered, as without SAM.

    Args: those of `SAMOptimWrapper`, and of `AmpOptimWrapper`: `loss_scale` (on
    a GPU) and `dtype`.

    Raises:
        BadConfig: `rho` or `eta` negative or no finite number; a dtype that
            this machine can't train in.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float = 0.05,
                 adaptive: bool = False, eta: float = 0.01, accumulative_counts: int = 1,
                 clip_grad: dict | None = None, loss_scale: str | float | dict = 'dynamic',
                 dtype: str | torch.dtype | None = None):
        super().__init__(loss_scale, dtype, optimizer=optimizer,
                         accumulative_counts=accumulative_counts, clip_grad=clip_grad)
        self._start(rho, adaptive, eta)

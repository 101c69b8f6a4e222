"""Sharpness-Aware Minimization (SAM): a step by the gradient at the worst weights nearby.

    e = rho * g / ||g||                  g: the gradient at the weights w
    w <- step(w, gradient at w + e)

Adaptive SAM (ASAM): e = rho * T^2 g / ||T g||, with T = |w| + eta elementwise.
"""
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmconvmixer.engine.optim.amp import AmpOptimWrapper
from mmconvmixer.engine.random_state import random_state, set_random_state
from mmconvmixer.errors import BadConfig


def check_radius(rho: float, eta: float = 0.) -> None:
    """Raise BadConfig unless `rho` and `eta` are finite numbers that are not negative."""
    for name, value in (('rho', rho), ('eta', eta)):
        if isinstance(value, bool) or not isinstance(value, Real) \
                or not 0 <= value < math.inf:
            raise BadConfig(f'optim_wrapper.{name} is {value!r}, expected a finite number from 0 '
                            '(rho, how far SAM perturbs the weights, is 0.05 to 1 in the papers)')


@torch.no_grad()
def perturb(weights: Sequence[Tensor], gradients: Sequence[Tensor], rho: float,
            adaptive: bool = False, eta: float = 0.01) -> None:
    """Add the perturbation e to `weights`, in place; `gradients` are overwritten.

    A constant factor on all gradients, such as a loss scale, has no effect. If the gradients'
    common norm is zero or not finite, the weights are not changed.
    """
    if not weights:
        return
    if adaptive:
        scales = torch._foreach_abs(weights)
        torch._foreach_add_(scales, eta)
        torch._foreach_mul_(gradients, scales)
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    # This waits for the GPU once per step, at the cost of about a kernel launch. In return, an
    # overflow of the scaled float16 gradients can't reach the weights of the second pass.
    if not torch.finfo(norm.dtype).tiny <= norm.item() < math.inf:
        return
    if adaptive:
        torch._foreach_mul_(gradients, scales)
    torch._foreach_add_(weights, gradients, alpha=rho / norm.item())


@contextmanager
def restored(tensors: Sequence[Tensor]) -> Iterator[None]:
    """On exit, give `tensors` the values that they had on entry, bit for bit."""
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


@dataclass
class Call:
    """A call of a model, with the state of the random generators before the call."""
    model: nn.Module
    args: tuple
    kwargs: dict
    random_state: dict

    def repeat(self) -> Tensor:
        """Repeat the call with the same random numbers and return the loss ().

        Raises:
            BadConfig: the model returns no loss.
        """
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
    """Makes `backward` of an `OptimWrapper` or `AmpOptimWrapper` a backward pass of SAM."""

    def _init_sam(self, rho: float, adaptive: bool, eta: float) -> None:
        check_radius(rho, eta)
        self.rho, self.adaptive, self.eta = rho, adaptive, eta
        self._calls: list[Call] = []

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Record the call of `model` in this context; its gradients are not averaged over ranks.

        Raises:
            BadConfig: the model is a DistributedDataParallel with `static_graph=True`.
        """
        if getattr(model, 'static_graph', False):
            raise BadConfig("model_wrapper_cfg.static_graph is True, which makes PyTorch's DDP "
                            "average all gradients, but SAM needs each process's first gradient: "
                            'leave static_graph out')

        def record(module: nn.Module, args: tuple, kwargs: dict) -> None:
            self._calls.append(Call(module, args, kwargs, random_state()))

        self._calls.clear()
        # DDP decides in the forward pass whether it will average the gradients.
        no_sync = model.no_sync() if hasattr(model, 'no_sync') else nullcontext()
        # The first of all hooks, because the repeated call runs the other hooks again.
        handle = model.register_forward_pre_hook(record, prepend=True, with_kwargs=True)
        try:
            with super().optim_context(model), no_sync:
                yield
        finally:
            handle.remove()

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add the gradient at the perturbed weights to `.grad`.

        Args:
            loss: (), the loss of the call in `optim_context`, as `scale_loss` returns it.
            **kwargs: the arguments of `Tensor.backward` in both passes.

        Raises:
            RuntimeError: the model was not called exactly once in `optim_context`.
            BadConfig: the model returns no loss.
        """
        if len(self._calls) != 1:
            raise RuntimeError(f'SAM repeats the forward pass, but found {len(self._calls)} of '
                               'them; call the model exactly once in `with optim_wrapper.'
                               'optim_context(model)` before each backward pass')
        call = self._calls.pop()
        weights = [weight for group in self.optimizer.param_groups
                   for weight in group['params'] if weight.requires_grad]
        gradients = self._first_gradients(weights, loss, **kwargs)
        with_gradient = [weight for weight, gradient in zip(weights, gradients, strict=True)
                         if gradient is not None]
        # Also restore buffers: BatchNorm's statistics, and others that a forward pass changes.
        with restored(with_gradient), restored(list(call.model.buffers())):
            perturb(with_gradient, [gradient for gradient in gradients if gradient is not None],
                    self.rho, self.adaptive, self.eta)
            del gradients
            with super().optim_context(call.model):
                perturbed = call.repeat()
            super().backward(self.scale_loss(perturbed), **kwargs)

    def _first_gradients(self, weights: Sequence[Tensor], loss: Tensor,
                         **kwargs: Any) -> list[Tensor | None]:
        """Return the gradients at the weights; what `.grad` has accumulated is kept."""
        accumulated = [weight.grad for weight in weights]
        for weight in weights:
            weight.grad = None
        super().backward(loss, **kwargs)
        self._inner_count -= 1  # the two backward passes are one iteration
        gradients = [weight.grad for weight in weights]
        for weight, gradient in zip(weights, accumulated, strict=True):
            weight.grad = gradient
        return gradients


class SAMOptimWrapper(_SharpnessAware, OptimWrapper):
    """Sharpness-Aware Minimization with any optimizer.

        optim_wrapper = dict(type='SAMOptimWrapper', rho=0.15, optimizer=...)

    Each iteration computes two gradients: the first at the weights, the second at the weights
    moved by rho along the first. The optimizer then steps from the original weights by the
    second. The loss and metrics in the log are those of the first pass.

    - The second pass repeats the first at other weights, with the same batch, precision and
      random numbers. With other dropout masks it would evaluate another loss than the one that
      the weights were perturbed to raise. Afterwards the generators are as after one pass.
    - BatchNorm's buffers change only in the first pass, at the weights that are evaluated and
      saved.
    - With several processes, each perturbs the weights by the gradient of its own batch, and
      only the second gradients are averaged. This is the m-sharpness of Foret et al. (section
      4.1), with m the batch size of one process. There it generalized better than a common
      perturbation, and it needs no more communication than a plain step.
    - With `accumulative_counts`, each batch perturbs the weights by its own gradient, for the
      same reason, and the second gradients accumulate.
    - `clip_grad` clips the accumulated second gradient.
    - If the first gradient is zero or not finite, the second pass is at the original weights.
    - Nothing is kept between iterations: checkpoints are the plain wrapper's and resume in
      the same way.

    It needs more memory than the plain wrapper for one copy of the weights. The two gradients
    do not exist at the same time.

    Args:
        optimizer: the optimizer to step with.
        rho: length of the perturbation, in the norm over all weights; not negative. Foret et
            al. use 0.05 for ResNets, Chen et al. more for MLP-Mixers.
        adaptive: whether to use ASAM, which scales the perturbation of each weight by the
            weight's size. Its rho is about ten times as large (Kwon et al.: 0.5 on CIFAR-10).
        eta: added to the weights' sizes, with `adaptive`.
        accumulative_counts: iterations per step.
        clip_grad: as in `OptimWrapper`.

    Raises:
        BadConfig: `rho` or `eta` is negative or not a finite number.

    Sources: Foret et al. 2021 (arXiv 2010.01412); Kwon et al. 2021, ASAM (arXiv
    2102.11600); Chen, Hsieh, Gong 2022, "When Vision Transformers Outperform
    ResNets" (arXiv 2106.01548).
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float = 0.05,
                 adaptive: bool = False, eta: float = 0.01, accumulative_counts: int = 1,
                 clip_grad: dict | None = None) -> None:
        super().__init__(optimizer, accumulative_counts, clip_grad)
        self._init_sam(rho, adaptive, eta)


class AmpSAMOptimWrapper(_SharpnessAware, AmpOptimWrapper):
    """`SAMOptimWrapper` in mixed precision, which `tools/train.py --amp` replaces it with.

    Both passes run under the same autocast and both losses are scaled, because the scale
    cancels in g / ||g||. If the first gradient overflows, the second pass is at the original
    weights; if that overflows too, the step is skipped and the scale lowered, as without SAM.

    Args:
        optimizer: as in `SAMOptimWrapper`.
        rho: as in `SAMOptimWrapper`.
        adaptive: as in `SAMOptimWrapper`.
        eta: as in `SAMOptimWrapper`.
        accumulative_counts: as in `SAMOptimWrapper`.
        clip_grad: as in `SAMOptimWrapper`.
        loss_scale: as in `AmpOptimWrapper`.
        dtype: as in `AmpOptimWrapper`.


    Raises:
        BadConfig: `rho` or `eta` is negative or not a finite number, or this machine can't
            train in `dtype`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float = 0.05,
                 adaptive: bool = False, eta: float = 0.01, accumulative_counts: int = 1,
                 clip_grad: dict | None = None, loss_scale: str | float | dict = 'dynamic',
                 dtype: str | torch.dtype | None = None) -> None:
        super().__init__(loss_scale, dtype, optimizer=optimizer,
                         accumulative_counts=accumulative_counts, clip_grad=clip_grad)
        self._init_sam(rho, adaptive, eta)

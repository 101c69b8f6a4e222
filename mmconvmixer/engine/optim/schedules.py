"""Learning-rate schedules of the published training runs."""
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin


class _IterationLR(LRSchedulerMixin, _ParamScheduler):
    """A schedule over iterations that the runner builds with the length of an epoch."""

    @classmethod
    def build_iter_from_epoch(cls, *args: Any, epoch_length: int, by_epoch: bool = True,
                              begin: float = 0, end: float = 0, **kwargs: Any) -> '_IterationLR':
        """Build the schedule; the runner calls this for `convert_to_iter_based=True`."""
        return cls(*args, epoch_length=epoch_length, **kwargs)


class PiecewiseLinearLR(_IterationLR):
    """Interpolate the learning rate linearly between points, with a step per iteration.

    Iteration i (from 0) of epoch e has the learning rate
    `lr * interp(e + (i + 1) / iterations_per_epoch, epochs, factors)`.

    Args:
        optimizer: the optimizer or its wrapper.
        epochs: the points in time, increasing from 0.
        factors: the learning rate at each point, as a multiple of the optimizer's.
        epoch_length: iterations per epoch. The runner fills it in if the config has
            `convert_to_iter_based=True`, which is required.
        last_step: as in mmengine's schedulers.
        verbose: as in mmengine's schedulers.

    Raises:
        ValueError: `epochs` do not increase, or are not as many as `factors`.

    Source: locuslab/convmixer-cifar10 `train.py` (`lr_schedule`).
    """

    def __init__(self, optimizer: OptimWrapper | torch.optim.Optimizer,
                 epochs: Sequence[float], factors: Sequence[float], epoch_length: int,
                 last_step: int = -1, verbose: bool = False) -> None:
        if len(epochs) != len(factors) or sorted(set(epochs)) != list(epochs):
            raise ValueError('epochs must increase and pair with factors, got '
                             f'{list(epochs)} and {list(factors)}')
        self.epochs, self.factors = list(epochs), list(factors)
        self.epoch_length = epoch_length
        super().__init__(optimizer, end=round(epochs[-1] * epoch_length), by_epoch=False,
                         last_step=last_step, verbose=verbose)

    def _get_value(self) -> list[float]:
        epoch = (self.last_step + 1) / self.epoch_length
        factor = float(np.interp(epoch, self.epochs, self.factors))
        return [base * factor for base in self.base_values]


class WarmUpCosineLR(_IterationLR):
    """Warm up linearly, then follow half a cosine down to 0, with a step per iteration.

    Iteration i (from 0) of n has the learning rate `lr * (start + (1 - start) * i / warmup)`
    while i < warmup, then `lr * (1 + cos(pi * (i - warmup) / (n - warmup))) / 2`.

    Args:
        optimizer: the optimizer or its wrapper.
        epochs: the epoch at which the learning rate reaches 0.
        warmup_iters: iterations of the warm-up, at most half of the run.
        epoch_length: iterations per epoch. The runner fills it in if the config has
            `convert_to_iter_based=True`, which is required.
        start_factor: the learning rate of the first iteration, as a multiple of the
            optimizer's.
        last_step: as in mmengine's schedulers.
        verbose: as in mmengine's schedulers.

    Raises:
        ValueError: `epochs` is less than 1, `warmup_iters` is negative, or `start_factor` is
            outside 0..1.

    Source: the fine-tuning schedule of the MLP-Mixer collection on TensorFlow Hub.
    """

    def __init__(self, optimizer: OptimWrapper | torch.optim.Optimizer, epochs: int,
                 warmup_iters: int, epoch_length: int, start_factor: float = 0.,
                 last_step: int = -1, verbose: bool = False) -> None:
        if epochs < 1 or warmup_iters < 0 or not 0 <= start_factor <= 1:
            raise ValueError(f'epochs is {epochs}, warmup_iters {warmup_iters}, start_factor '
                             f'{start_factor}; expected at least 1, at least 0, and 0 to 1')
        self.iters = epochs * epoch_length
        self.warmup = min(warmup_iters, self.iters // 2)
        self.start_factor = start_factor
        super().__init__(optimizer, end=self.iters, by_epoch=False, last_step=last_step,
                         verbose=verbose)

    def _get_value(self) -> list[float]:
        step = self.last_step
        if step < self.warmup:
            factor = self.start_factor + (1 - self.start_factor) * step / self.warmup
        else:
            progress = min((step - self.warmup) / (self.iters - self.warmup), 1.)
            factor = (1 + math.cos(math.pi * progress)) / 2
        return [base * factor for base in self.base_values]

"""Learning-rate schedules of the published runs."""
import math
from collections.abc import Sequence

import numpy as np
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin


class PiecewiseLinearLR(LRSchedulerMixin, _ParamScheduler):
    """Straight lines between points, one step per iteration.

    Iteration i (from 0) of epoch e runs at
    `lr * interp(e + (i + 1) / iterations_per_epoch, epochs, factors)`.

    Args:
        epochs: increasing points in time, from 0.
        factors: the learning rate there, as a multiple of the optimizer's.
        epoch_length: iterations per epoch; the runner fills it in when the
            config says `convert_to_iter_based=True`, as it must.

    Raises:
        ValueError: points that don't pair up or don't increase.

    Source: locuslab/convmixer-cifar10 `train.py` (`lr_schedule`).
    """

    def __init__(self, optimizer, epochs: Sequence[float], factors: Sequence[float],
                 epoch_length: int, last_step: int = -1, verbose: bool = False):
        if len(epochs) != len(factors) or sorted(set(epochs)) != list(epochs):
            raise ValueError('epochs must increase and pair with factors, got '
                             f'{list(epochs)} and {list(factors)}')
        self.epochs, self.factors = list(epochs), list(factors)
        self.epoch_length = epoch_length
        super().__init__(optimizer, end=round(epochs[-1] * epoch_length), by_epoch=False,
                         last_step=last_step, verbose=verbose)

    @classmethod
    def build_iter_from_epoch(cls, *args, epoch_length: int, by_epoch: bool = True,
                              begin: float = 0, end: float = 0, **kwargs):
        return cls(*args, epoch_length=epoch_length, **kwargs)

    def _get_value(self) -> list[float]:
        epoch = (self.last_step + 1) / self.epoch_length
        factor = float(np.interp(epoch, self.epochs, self.factors))
        return [base * factor for base in self.base_values]


class WarmUpCosineLR(LRSchedulerMixin, _ParamScheduler):
    """A straight line up, then half a cosine down to 0, one step per iteration.

    Iteration i (from 0) of n runs at `lr * (start + (1 - start) * i / warmup)` while
    i < warmup, then at `lr * (1 + cos(pi * (i - warmup) / (n - warmup))) / 2`.

    Args:
        epochs: when 0 is reached.
        warmup_iters: iterations of the way up; half of the run if that is less.
        start_factor: the learning rate of the first, as a multiple of the optimizer's.
        epoch_length: iterations per epoch; the runner fills it in when the
            config says `convert_to_iter_based=True`, as it must.

    Raises:
        ValueError: no epochs, a negative warm-up, or a factor outside of 0..1.

    Source: the fine-tuning schedule of the MLP-Mixer collection on TensorFlow Hub.
    """

    def __init__(self, optimizer, epochs: int, warmup_iters: int, epoch_length: int,
                 start_factor: float = 0., last_step: int = -1, verbose: bool = False):
        if epochs < 1 or warmup_iters < 0 or not 0 <= start_factor <= 1:
            raise ValueError(f'epochs is {epochs}, warmup_iters {warmup_iters}, start_factor '
                             f'{start_factor}; expected 1 or more, 0 or more, 0 to 1')
        self.iters = epochs * epoch_length
        self.warmup = min(warmup_iters, self.iters // 2)
        self.start_factor = start_factor
        super().__init__(optimizer, end=self.iters, by_epoch=False, last_step=last_step,
                         verbose=verbose)

    @classmethod
    def build_iter_from_epoch(cls, *args, epoch_length: int, by_epoch: bool = True,
                              begin: float = 0, end: float = 0, **kwargs):
        return cls(*args, epoch_length=epoch_length, **kwargs)

    def _get_value(self) -> list[float]:
        step = self.last_step
        if step < self.warmup:
            factor = self.start_factor + (1 - self.start_factor) * step / self.warmup
        else:
            way = min((step - self.warmup) / (self.iters - self.warmup), 1.)
            factor = (1 + math.cos(math.pi * way)) / 2
        return [base * factor for base in self.base_values]

"""Mixed-precision training, on a GPU as in mmengine and on a CPU in bfloat16 where it pays."""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as GpuAmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmconvmixer.engine.optim.cpu_precision import CpuPrecision
from mmconvmixer.errors import BadConfig


class AmpOptimWrapper(GpuAmpOptimWrapper):
    """mmengine's `AmpOptimWrapper`, which on its own refuses a machine without a GPU.

    On a CPU the forward pass runs in bfloat16 or, if the processor is not faster in it, in
    float32; see `CpuPrecision`. The range of bfloat16 equals float32's, so that the loss
    needs no scaling and `loss_scale` is ignored. Checkpoints hold the choice.

    Args:
        loss_scale: as in mmengine's wrapper.
        dtype: as in mmengine's wrapper; on a CPU, None or 'bfloat16', which is then taken on
            every processor that has it.
        use_fsdp: as in mmengine's wrapper.
        **kwargs: the arguments of mmengine's `OptimWrapper`.

    Raises:
        BadConfig: `dtype` is another one, on a CPU.
    """

    def __init__(self, loss_scale: str | float | dict = 'dynamic',
                 dtype: str | torch.dtype | None = None, use_fsdp: bool = False,
                 **kwargs: Any) -> None:
        check_dtype(dtype)
        self._on_cpu: CpuPrecision | None = None
        if get_device() != 'cpu':
            super().__init__(loss_scale=loss_scale, dtype=dtype, use_fsdp=use_fsdp, **kwargs)
            return
        OptimWrapper.__init__(self, **kwargs)
        self._on_cpu = CpuPrecision(asked=dtype is not None)
        self.cast_dtype = torch.bfloat16
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self._scale_update_param = None

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute in mixed precision inside this context."""
        if self._on_cpu is None:
            with super().optim_context(model):
                yield
            return
        self._on_cpu.begin()
        casts = self._on_cpu.of_this_iteration == 'bfloat16'
        with (OptimWrapper.optim_context(self, model),
              torch.autocast('cpu', self.cast_dtype, enabled=casts)):
            yield

    def update_params(self, loss: Tensor, step_kwargs: dict | None = None,
                      zero_kwargs: dict | None = None) -> None:
        """Compute the gradients, and step when enough of them are accumulated."""
        super().update_params(loss, step_kwargs, zero_kwargs)
        if self._on_cpu is not None:
            self._on_cpu.end()

    def state_dict(self) -> dict:
        """Return the state of optimizer and loss scale, and on a CPU the precision."""
        state = super().state_dict()
        if self._on_cpu is not None:
            state['cpu_precision'] = self._on_cpu.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state that was saved on a GPU or on a CPU."""
        state_dict = dict(state_dict)
        precision = state_dict.pop('cpu_precision', None)
        if 'loss_scaler' in state_dict and not state_dict['loss_scaler']:  # saved on a CPU
            del state_dict['loss_scaler']
            # Earlier versions computed in bfloat16 on every processor.
            precision = precision or dict(chosen='bfloat16', seconds={})
        super().load_state_dict(state_dict)
        if self._on_cpu is not None and precision is not None:
            self._on_cpu.load_state_dict(precision)


def check_dtype(dtype: str | torch.dtype | None) -> None:
    """Raise BadConfig if this machine can't train in `dtype`."""
    if get_device() == 'cpu' and dtype not in (None, 'bfloat16', torch.bfloat16):
        raise BadConfig(f'optim_wrapper.dtype is {dtype}, but mixed precision on a CPU is '
                        'bfloat16; leave dtype out')

"""Mixed-precision training, on a GPU as in mmengine and on a CPU in bfloat16."""
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as GpuAmpOptimWrapper
from mmengine.optim import OptimWrapper

from mmconvmixer.errors import BadConfig


class AmpOptimWrapper(GpuAmpOptimWrapper):
    """mmengine's `AmpOptimWrapper`, which on its own refuses a machine without a GPU.

    On a CPU the forward pass runs in bfloat16. Its range equals float32's, so that the loss
    needs no scaling and `loss_scale` is ignored.

    Args:
        loss_scale: as in mmengine's wrapper.
        dtype: as in mmengine's wrapper; on a CPU, None or 'bfloat16'.
        use_fsdp: as in mmengine's wrapper.
        **kwargs: the arguments of mmengine's `OptimWrapper`.

    Raises:
        BadConfig: `dtype` is another one, on a CPU.
    """

    def __init__(self, loss_scale: str | float | dict = 'dynamic',
                 dtype: str | torch.dtype | None = None, use_fsdp: bool = False,
                 **kwargs: Any) -> None:
        check_dtype(dtype)
        if get_device() != 'cpu':
            super().__init__(loss_scale=loss_scale, dtype=dtype, use_fsdp=use_fsdp, **kwargs)
            return
        OptimWrapper.__init__(self, **kwargs)
        self.cast_dtype = torch.bfloat16
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self._scale_update_param = None

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state that was saved on a GPU or on a CPU."""
        if not state_dict.get('loss_scaler'):  # it was saved on a CPU
            state_dict = {key: value for key, value in state_dict.items() if key != 'loss_scaler'}
        super().load_state_dict(state_dict)


def check_dtype(dtype: str | torch.dtype | None) -> None:
    """Raise BadConfig if this machine can't train in `dtype`."""
    if get_device() == 'cpu' and dtype not in (None, 'bfloat16', torch.bfloat16):
        raise BadConfig(f'optim_wrapper.dtype is {dtype}, but mixed precision on a CPU is '
                        'bfloat16; leave dtype out')

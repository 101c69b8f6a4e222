"""The precision of an evaluation that a config describes."""
from mmengine.config import Config
from mmengine.device import get_device

from mmconvmixer._support.processor import supported_precision


def without_missing_bfloat16(cfg: Config, loop: str) -> None:
    """Let `val_cfg` or `test_cfg` compute in float32 where a CPU lacks bfloat16, and log it.

    Its key `fp16` means bfloat16 on a CPU.
    """
    options = cfg.get(loop) or {}
    if (options.get('fp16') and get_device() == 'cpu'
            and supported_precision('bfloat16') == 'float32'):
        cfg[loop] = {**options, 'fp16': False}

"""Where a result comes from: machine and versions."""
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mmconvmixer.version import __version__

_PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmpretrain', 'mmcv', 'mmcv-lite', 'numpy')


def environment() -> dict[str, str | int]:
    """Return processor, GPU, threads, and versions of what computes the numbers."""
    found = dict(
        platform=f'{platform.system()} {platform.machine()}', processor=_processor(),
        threads=torch.get_num_threads(), python=platform.python_version(),
        mmconvmixer=__version__)
    if torch.cuda.is_available():
        found.update(gpu=torch.cuda.get_device_name(), gpus=torch.cuda.device_count(),
                     cuda=torch.version.cuda)
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # e.g. mmcv where there is mmcv-lite
            continue
    return found


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    names = [line.split(':', 1)[1].strip() for line in
             (info.read_text().splitlines() if info.is_file() else ())
             if line.startswith('model name')]
    return f'{os.cpu_count()} x {names[0] if names else platform.processor()}'

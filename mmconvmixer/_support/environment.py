"""The machine and the versions that a result comes from.

The git revision has its own module: setup.py runs it before torch is installed.
"""
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mmconvmixer.version import __version__

_PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmpretrain', 'mmcv', 'mmcv-lite', 'numpy')


def environment() -> dict[str, str | int]:
    """Return the platform, processor, GPUs, threads and versions of the numerical libraries."""
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
        except PackageNotFoundError:  # such as mmcv, where mmcv-lite is installed
            continue
    return found


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    names = [line.split(':', 1)[1].strip() for line in
             (info.read_text().splitlines() if info.is_file() else ())
             if line.startswith('model name')]
    return f'{os.cpu_count()} x {names[0] if names else platform.processor()}'

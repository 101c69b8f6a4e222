"""Runtimes that compute a network's logits, one module each.

A module has `PACKAGES`, the packages that each of its precisions needs, and
`build(job, precision, calibration)`, which returns a function images (N, C, H, W)
float32 -> logits (N, classes) float32. Both are CPU tensors.
"""
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
from mmengine.logging import print_log
from torch import Tensor

from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.packages import is_installed, require_packages
from mmconvmixer.deploy.processor import supported_precision
from mmconvmixer.errors import UnknownOption

Run = Callable[[Tensor], Tensor]

BACKENDS = dict(torch='torch_eager', compile='torch_compiled', onnxruntime='onnxruntime',
                openvino='openvino')
PRECISIONS = ('float32', 'bfloat16', 'int8')


def load_backend(name: str) -> ModuleType:
    """Return a backend's module.

    Raises:
        UnknownOption: there is no such backend.
    """
    if name not in BACKENDS:
        raise UnknownOption(f'backend {name!r} is not known; these are: auto, '
                            f'{", ".join(BACKENDS)}')
    return import_module(f'{__name__}.{BACKENDS[name]}')


def check_options(backend: str, precision: str) -> None:
    """Check a backend and a precision before any work is done.

    Raises:
        UnknownOption: there is no such backend or precision, or the backend does not
            have this precision.
        MissingPackage: a package that they need is not installed.
    """
    if precision not in PRECISIONS:
        raise UnknownOption(f'precision {precision!r} is not known; these are: '
                            f'{", ".join(PRECISIONS)}')
    if backend == 'auto':
        return
    packages = load_backend(backend).PACKAGES
    if precision not in packages:
        able = ', '.join(able_backends(precision)) or 'none that is installed'
        raise UnknownOption(f'backend {backend} has no precision {precision}; it has '
                            f'{", ".join(packages)}, and these have {precision}: {able}')
    require_packages(f'the backend {backend} in {precision}', 'deploy', *packages[precision])


def able_backends(precision: str) -> list[str]:
    """Return the backends that have a precision and whose packages are installed."""
    packages = {name: load_backend(name).PACKAGES for name in BACKENDS}
    return [name for name, needed in packages.items()
            if precision in needed and is_installed(*needed[precision])]


def build_backend(job: Job, backend: str, precision: str,
                  calibration: list[np.ndarray] | None = None, batch_size: int = 1) -> Run:
    """Return a function images (N, C, H, W) -> logits (N, classes), CPU tensors.

    Args:
        job: what to run; its dtype is ignored.
        backend: a key of `BACKENDS`, or 'auto': try all that are installed, leave out
            those whose outputs differ from PyTorch's, and take the fastest.
        precision: one of `PRECISIONS`. On a processor without it, the network
            computes in float32 and the log says so.
        calibration: for 'int8', batches (N, C, H, W) of real images.
        batch_size: images per call when 'auto' times the backends.

    Raises:
        UnknownOption: see `check_options`; or int8 without calibration images.
        MissingPackage: see `check_options`.
    """
    check_options(backend, precision)
    precision = supported_precision(precision)
    if precision == 'int8' and not calibration:
        raise UnknownOption('int8 needs real images for calibration; give calib, a folder with '
                            'some of them (--calib DIR)')
    if backend == 'auto':
        from mmconvmixer.deploy.backends.auto import fastest
        return fastest(job, able_backends(precision), precision, calibration, batch_size)
    run = load_backend(backend).build(job, precision, calibration)
    print_log(f'logits are computed by {backend} in {precision}', 'current')
    return run

"""One call that builds a network's function in any backend."""
import logging

import numpy as np
from mmengine.logging import print_log

from mmconvmixer._support.processor import supported_precision
from mmconvmixer.deploy.backends.auto import fastest
from mmconvmixer.deploy.backends.load import (
    Run,
    able_backends,
    check_options,
    computed_precision,
    load_backend,
)
from mmconvmixer.deploy.job import Job

# It cost 0.65 points of top-1 on CIFAR-10, where the others cost 0.2 (docs/quantization.md).
_TOO_COARSE = 'litert', 'int8'


def build_backend(job: Job, backend: str, precision: str,
                  calibration: list[np.ndarray] | None = None, batch_size: int = 1) -> Run:
    """Return a function images (N, C, H, W) -> logits (N, classes), CPU tensors.

    Args:
        job: what to run; its dtype is ignored.
        backend: a key of `BACKENDS`, or 'auto': try all that are installed, leave out
            those whose outputs differ from PyTorch's, and take the fastest. LiteRT in
            int8 is less accurate than the others and is not tried.
        precision: one of `PRECISIONS`. On a processor without bfloat16, the network
            computes in float32 and the log says so.
        calibration: for 'int8', batches (N, C, H, W) of real images.
        batch_size: images per call when 'auto' times the backends.

    Raises:
        UnknownOption: see `check_options`.
        MissingPackage: see `check_options`.
    """
    check_options(backend, precision, calibration)
    precision = supported_precision(precision)
    if backend == 'auto':
        able = [name for name in able_backends(precision) if (name, precision) != _TOO_COARSE]
        return fastest(job, able, precision, calibration, batch_size)
    run = load_backend(backend).build(job, precision, calibration)
    computed = computed_precision(run, precision)
    print_log(f'logits are computed by {backend} in {computed}'
              + ('' if computed == precision else f', which does not compute in {precision} here'),
              'current', logging.INFO if computed == precision else logging.WARNING)
    return run

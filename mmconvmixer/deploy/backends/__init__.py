"""Runtimes that compute a network's logits, one module each.

A module has `PACKAGES`, the packages that each of its precisions needs, `EXTRA`, this
package's extra that installs them, and `build(job, precision, calibration)`, which returns
a function images (N, C, H, W) float32 -> logits (N, classes) float32. Both are CPU tensors.
"""
from mmconvmixer.deploy.backends.build import build_backend
from mmconvmixer.deploy.backends.load import (
    BACKENDS,
    PRECISIONS,
    Run,
    RunIn,
    able_backends,
    check_options,
    computed_precision,
    load_backend,
)

__all__ = ['BACKENDS', 'PRECISIONS', 'Run', 'RunIn', 'able_backends', 'build_backend',
           'check_options', 'computed_precision', 'load_backend']

"""Eager PyTorch, with BatchNorm folded (`deploy.fuse`)."""
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.deploy.backends import Run
from mmconvmixer.deploy.job import Job

PACKAGES = dict(float32=(), bfloat16=())
EXTRA = ''


def build(job: Job, precision: str, calibration: list[np.ndarray] | None = None) -> Run:
    """Return a function images (N, C, H, W) -> logits (N, classes)."""
    network = replace(job, dtype=precision).network

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        return network(images)
    return run

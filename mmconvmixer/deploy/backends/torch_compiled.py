"""PyTorch through `torch.compile`, with the weights frozen into the program."""
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.deploy.backends import Run
from mmconvmixer.deploy.backends.static_batches import static_batches
from mmconvmixer.deploy.job import Job

PACKAGES = dict(float32=(), bfloat16=())
EXTRA = ''


def build(job: Job, precision: str, calibration: list[np.ndarray] | None = None) -> Run:
    """Return a function images (N, C, H, W) -> logits (N, classes)."""
    network = replace(job, dtype=precision).network

    def for_batch(size: int) -> Run:
        # Frozen weights are repacked for oneDNN once, others at every call.
        compiled = torch.compile(network, dynamic=False, options=dict(freezing=True))

        def run(images: Tensor) -> Tensor:
            with torch.no_grad():
                return compiled(images)
        return run
    # Powers of two only: compiling takes long, and dynamo gives up after eight
    # programs of one module.
    return static_batches(for_batch, lambda count: 1 << (count - 1).bit_length())

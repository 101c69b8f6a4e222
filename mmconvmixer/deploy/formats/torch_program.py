"""torch.export: a `.pt2` file that `torch.export.load` reads without this project's code."""
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from mmconvmixer.deploy.job import Job

SUFFIX = '.pt2'
DTYPES = ('float32', 'float16', 'bfloat16')


def export_program(job: Job) -> torch.export.ExportedProgram:
    """Return the network's graph for images (N, C, H, W) float32.

    Its weights are contiguous: tools that read the program, ExecuTorch's XNNPACK among them,
    refuse those that are channels-last in memory. PyTorch computes with either equally fast,
    because the images decide.
    """
    network = deepcopy(job.network).to(memory_format=torch.contiguous_format)
    # torch.export would treat a batch size of 1 as a constant.
    images = torch.zeros(2 if job.dynamic_batch else 1, *job.input_shape)
    shapes = {'images': {0: torch.export.Dim('batch')}} if job.dynamic_batch else None
    with torch.no_grad():
        return torch.export.export(network, (images,), dynamic_shapes=shapes)


def write(job: Job, path: Path) -> None:
    """Write the network."""
    torch.export.save(export_program(job), path)


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W) -> outputs (N, classes or features)."""
    module = torch.export.load(path).module()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(images)).numpy()
    return run

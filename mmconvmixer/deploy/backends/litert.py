"""LiteRT (TensorFlow Lite) on a CPU. TensorFlow writes the program."""
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from mmconvmixer._support.clock import fastest
from mmconvmixer.deploy.backends import Run
from mmconvmixer.deploy.formats import litert
from mmconvmixer.deploy.job import Job

PACKAGES = dict(float32=('tensorflow',), int8=('tensorflow',))
EXTRA = 'tf'


def build(job: Job, precision: str, calibration: list[np.ndarray] | None = None) -> Run:
    """Return a function images (N, C, H, W) -> logits (N, classes)."""
    job = replace(job, dtype='float32', dynamic_batch=True)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'network.tflite')
        if precision == 'float32':
            litert.write(job, path)
            return _run(path, threads)
        litert.write_int8(job, path, calibration or ())
        # Which of LiteRT's int8 kernels are faster depends on the size of the depthwise ones.
        runs = {xnnpack: _run(path, threads, xnnpack) for xnnpack in (True, False)}
    image = torch.zeros(1, *job.input_shape)
    return runs[fastest({xnnpack: partial(run, image) for xnnpack, run in runs.items()})]


def _run(path: Path, threads: int, xnnpack: bool = True) -> Run:
    reader = litert.reader(path, threads, xnnpack)
    one_at_a_time = Lock()  # an interpreter has one place for its input

    def run(images: Tensor) -> Tensor:
        with one_at_a_time:
            return torch.from_numpy(reader(images.numpy()))
    return run

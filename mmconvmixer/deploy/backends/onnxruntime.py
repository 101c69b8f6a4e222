"""onnxruntime on a CPU."""
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.deploy.backends import Run
from mmconvmixer.deploy.formats import onnx_file
from mmconvmixer.deploy.job import Job

_ALL = ('onnx', 'onnxscript', 'onnxruntime')
PACKAGES = dict(float32=_ALL, int8=_ALL)
EXTRA = 'deploy'


def build(job: Job, precision: str, calibration: list[np.ndarray] | None = None) -> Run:
    """Return a function images (N, C, H, W) -> logits (N, classes)."""
    job = replace(job, dtype='float32', dynamic_batch=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'network.onnx')
        if precision == 'int8':
            from mmconvmixer.deploy.quantization import quantize_onnx
            quantize_onnx(job, calibration, path)
        else:
            onnx_file.write(job, path)
        session = onnx_file.reader(path, torch.get_num_threads())

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session(images.contiguous().numpy()))
    return run

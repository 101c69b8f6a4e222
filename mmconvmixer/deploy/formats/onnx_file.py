"""ONNX: one file, for onnxruntime and other runtimes."""
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mmconvmixer.deploy.formats.onnx_session import session_of
from mmconvmixer.deploy.formats.torch_program import export_program
from mmconvmixer.deploy.job import Job

SUFFIX = '.onnx'
DTYPES = ('float32', 'float16')
OPSET = 20  # the first with Gelu


def write(job: Job, path: Path) -> None:
    """Write the network."""
    import onnx
    program = torch.onnx.export(
        export_program(job), dynamo=True, opset_version=OPSET, input_names=['images'],
        output_names=[job.output_name], optimize=True, verbose=False)
    program.save(path, external_data=False)
    onnx.checker.check_model(path, full_check=True)


def reader(path: Path, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W) -> outputs (N, classes or features).

    Args:
        path: the file.
        threads: 0 lets onnxruntime choose.
    """
    session = session_of(Path(path), threads)
    return lambda images: session.run(None, {'images': images})[0]

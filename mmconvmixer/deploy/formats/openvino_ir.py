"""OpenVINO's IR: an `.xml` file with the graph and a `.bin` file with the weights."""
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.deploy.formats.torch_program import export_program
from mmconvmixer.deploy.job import Job

if TYPE_CHECKING:
    import openvino

SUFFIX = '.xml'
BESIDE = '.bin'  # the weights
DTYPES = ('float32', 'float16')


def write(job: Job, path: Path) -> None:
    """Write `path` (.xml) and the .bin file beside it."""
    import openvino
    openvino.save_model(convert(job), path, compress_to_fp16=job.dtype == 'float16')


def convert(job: Job) -> 'openvino.Model':
    """Return the network in float32."""
    import openvino
    model = openvino.convert_model(export_program(replace(job, dtype='float32')))
    model.inputs[0].set_names({'images'})
    model.outputs[0].set_names({job.output_name})
    return model


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W) -> outputs (N, classes or features), in float32."""
    import openvino
    compiled = openvino.Core().compile_model(path, 'CPU', dict(INFERENCE_PRECISION_HINT='f32'))
    return lambda images: compiled(images)[0]

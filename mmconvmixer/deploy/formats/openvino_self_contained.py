"""OpenVINO's IR of the self-contained ONNX file: raw image in, named classes out."""
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.deploy.formats import onnx_self_contained
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import Preprocessing

if TYPE_CHECKING:
    import openvino


def write(job: Job, path: Path) -> None:
    """Write `path` (.xml) and the .bin file beside it; raise what the ONNX writer raises."""
    import openvino
    with tempfile.TemporaryDirectory() as folder:
        onnx_path = Path(folder, 'image.onnx')
        onnx_self_contained.write(job, onnx_path)
        model = openvino.convert_model(onnx_path)
        if job.preprocessing.antialias and job.preprocessing.interpolation != 'area':
            _resize_as_pillow(model, job.preprocessing)
        openvino.save_model(model, path, compress_to_fp16=job.dtype == 'float16')


def _resize_as_pillow(model: 'openvino.Model', steps: Preprocessing) -> None:
    """Replace the resizing by one that averages over all pixels that become one.

    OpenVINO 2026.4 silently ignores `antialias` when it reads ONNX, but it has an
    operation that resizes as Pillow does.
    """
    from openvino import opset13 as ops
    resize, = (op for op in model.get_ops() if op.get_type_name() == 'Interpolate')
    spatial = ops.constant([2, 3], dtype=np.int64)
    axis = ops.constant(0, dtype=np.int64)
    sizes = ops.gather(resize.input_value(1), spatial, axis)
    smooth = ops.interpolate(
        resize.input_value(0), sizes, f'{steps.interpolation}_pillow', 'sizes',
        cube_coeff=-0.5, axes=spatial)
    for consumer in resize.output(0).get_target_inputs():
        consumer.replace_source_output(smooth.output(0))
    model.validate_nodes_and_infer_types()


def reader(path: Path) -> Callable[[np.ndarray], tuple[list[str], np.ndarray]]:
    """Return image (H, W, 3) -> names and scores of the best classes."""
    import openvino
    compiled = openvino.Core().compile_model(path, 'CPU', dict(INFERENCE_PRECISION_HINT='f32'))

    def run(image: np.ndarray) -> tuple[list[str], np.ndarray]:
        outputs = compiled(image)
        return outputs['classes'].tolist(), outputs['scores']
    return run

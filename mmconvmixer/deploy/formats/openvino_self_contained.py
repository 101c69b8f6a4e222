"""OpenVINO's IR of the self-contained ONNX file: a raw image in, named classes out."""
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmconvmixer.deploy.formats import onnx_self_contained
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import Preprocessing


def write(job: Job, path: Path) -> None:
    import openvino
    with tempfile.TemporaryDirectory() as folder:
        onnx_path = Path(folder, 'image.onnx')
        onnx_self_contained.write(job, onnx_path)
        model = openvino.convert_model(onnx_path)
        if job.preprocessing.antialias and job.preprocessing.interpolation != 'area':
            _resize_as_pillow(model, job.preprocessing)
        openvino.save_model(model, path, compress_to_fp16=job.dtype == 'float16')


def _resize_as_pillow(model, steps: Preprocessing) -> None:
    """Let the resizing average over what becomes one pixel.

    OpenVINO's reader of ONNX leaves `antialias` out without a word (2026.4), and has
    an operation that does what Pillow does.
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

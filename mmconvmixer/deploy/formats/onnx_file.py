"""ONNX: one file, for onnxruntime and other runtimes."""
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mmconvmixer.deploy.formats.onnx_session import session_of
from mmconvmixer.deploy.formats.torch_program import export_program
from mmconvmixer.deploy.job import Job

if TYPE_CHECKING:
    import onnx

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
    model = onnx.load(path)
    _name_pooling(model)
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)


def reader(path: Path, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W) -> outputs (N, classes or features).

    Args:
        path: the file.
        threads: 0 lets onnxruntime choose.
    """
    session = session_of(Path(path), threads)
    return lambda images: session.run(None, {'images': images})[0]


def _name_pooling(model: 'onnx.ModelProto') -> None:
    """Replace means over height and width by GlobalAveragePool, which computes the same.

    Since opset 18 the axes of ReduceMean are an input, which not every converter reads.
    """
    import onnx
    constants = {each.name: each for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != 'ReduceMean' or len(node.input) < 2:
            continue
        axes = constants.get(node.input[1])
        keeps = all(each.i == 1 for each in node.attribute if each.name == 'keepdims')
        if keeps and axes is not None and onnx.numpy_helper.to_array(axes).tolist() == [2, 3]:
            node.op_type = 'GlobalAveragePool'
            del node.input[1:]
            node.ClearField('attribute')
    used = {name for node in model.graph.node for name in node.input}
    unused = [each for each in model.graph.initializer if each.name not in used]
    for each in unused:
        model.graph.initializer.remove(each)

"""A session of onnxruntime that computes int8 rightly on every processor."""
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer._support.processor import has_int8

if TYPE_CHECKING:
    import onnx
    import onnxruntime

# Two products of seven bits and eight fit into 16 bits: 2 * 64 * 255 < 2**15.
_LARGEST_SAFE_WEIGHT = 64


def session_of(model: 'Path | onnx.ModelProto', threads: int = 0,
               optimized: Path | None = None) -> 'onnxruntime.InferenceSession':
    """Return a session on the CPU.

    A processor without VNNI adds two products of uint8 and int8 in 16 bits, which saturate
    with weights of eight bits. Files of other programs have such weights: onnxruntime then
    gets its exact mode, which is slower. Files of `quantize` have seven bits and need none.

    Args:
        model: a file, or what `onnx.load` returned.
        threads: 0 lets onnxruntime choose.
        optimized: receives the graph with the kernels that are run, before onnxruntime
            changes its memory format, which makes BatchNorms look like convolutions.
    """
    import onnx
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if not has_int8() and _may_saturate(onnx.load(model) if isinstance(model, Path) else model):
        options.add_session_config_entry('session.x64quantprecision', '1')
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
        options.graph_optimization_level = (
            onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    source = model if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=['CPUExecutionProvider'])


def _may_saturate(model: 'onnx.ModelProto') -> bool:
    """Whether a kernel or matrix in int8 uses more than seven bits."""
    import onnx
    kernels = (onnx.numpy_helper.to_array(each) for each in model.graph.initializer
               if each.data_type == onnx.TensorProto.INT8 and len(each.dims) > 1)
    return any(np.abs(kernel.astype(np.int16)).max(initial=0) > _LARGEST_SAFE_WEIGHT
               for kernel in kernels)

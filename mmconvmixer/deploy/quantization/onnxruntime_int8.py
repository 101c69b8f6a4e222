"""int8 for onnxruntime: ONNX with QuantizeLinear and DequantizeLinear around the layers.

Weights are int8 with a scale for each output channel, and activations uint8 with a zero
point: the only combination that all of onnxruntime's int8 kernels take. Weights have seven
bits, -64 .. 64: a processor without VNNI adds two products of uint8 and int8 in 16 bits,
which saturate, and with eight bits the same file gives wrong outputs there.
"""
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.deploy.formats import onnx_file
from mmconvmixer.deploy.formats.onnx_session import session_of
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.quantization import onnx_graph
from mmconvmixer.deploy.quantization.accuracy import Run
from mmconvmixer.deploy.quantization.calibration import one_at_a_time

if TYPE_CHECKING:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

SUFFIX, BESIDE = onnx_file.SUFFIX, ''
PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')

# What onnxruntime makes of a layer when it optimizes a graph.
_INT8_KERNELS = ('QLinearConv', 'QGemm', 'QLinearMatMul', 'MatMulIntegerToFloat',
                 'DynamicQuantizeMatMul')
_FLOAT_KERNELS = ('Conv', 'FusedConv', 'NhwcFusedConv', 'Gemm', 'FusedGemm', 'MatMul',
                  'FusedMatMul')

_LAYERS = ['Conv', 'Gemm', 'MatMul', 'Relu', 'Clip']
# After a GELU, which computes in float, these are also faster in float.
_ELEMENTWISE = ['Add', 'Mul']


def quantize_onnx(job: Job, batches: Iterable[np.ndarray], path: Path) -> None:
    """Write the network in int8.

    Args:
        job: what is quantized; its dtype is ignored.
        batches: real images (N, C, H, W) float32, normalized; all are used.
        path: the file, .onnx
    """
    save(quantized(prepared(job), batches), path)


def prepared(job: Job) -> 'onnx.ModelProto':
    """Return the network in float32, prepared for int8."""
    import onnx
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, 'float.onnx')
        onnx_file.write(replace(job, dtype='float32'), plain)
        model = onnx.load(plain)
    onnx_graph.prepare(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def quantized(model: 'onnx.ModelProto', batches: Iterable[np.ndarray],
              keep: Collection[str] = ()) -> 'onnx.ModelProto':
    """Return a network in int8.

    Args:
        model: what `prepared` returned; it is not changed.
        batches: see `quantize_onnx`.
        keep: layers (of `layers`) that stay in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    known = layers(model)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    has_gelu = any(node.op_type == 'Gelu' for node in copy.graph.node)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, 'int8.onnx')
        quantize_static(
            copy, written, _reader(batches), quant_format=QuantFormat.QDQ, per_channel=True,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8, reduce_range=True,
            op_types_to_quantize=_LAYERS if has_gelu else _LAYERS + _ELEMENTWISE,
            nodes_to_exclude=[node for layer in keep for node in known[layer]])
        return onnx.load(written)


def layers(model: 'onnx.ModelProto') -> dict[str, list[str]]:
    """Return the names of each layer's nodes, by the layer's name.

    A layer is a convolution or matrix product with weights, and all nodes up to the next
    one. It is named after its weight.
    """
    weights = {each.name for each in model.graph.initializer}
    found: dict[str, list[str]] = {}
    nodes: list[str] = []
    for node in model.graph.node:
        if node.op_type in ('Conv', 'Gemm', 'MatMul') and node.input[1] in weights:
            nodes = found.setdefault(node.input[1].removesuffix('.weight'), [])
        nodes.append(node.name)
    return found


def runner(model: 'onnx.ModelProto') -> Run:
    """Return images (N, C, H, W) -> outputs of a model."""
    session = session_of(model)
    return lambda images: session.run(None, {'images': images})[0]


float_runner = runner


def layers_by_precision(model: 'onnx.ModelProto') -> dict[str, int]:
    """Return how many layers onnxruntime computes in each precision."""
    import onnx
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder, 'optimized.onnx')
        session_of(model, optimized=optimized)
        kinds = Counter(node.op_type for node in onnx.load(optimized).graph.node)
    found = dict(int8=sum(kinds[kind] for kind in _INT8_KERNELS),
                 float32=sum(kinds[kind] for kind in _FLOAT_KERNELS))
    return {precision: count for precision, count in found.items() if count}


def save(model: 'onnx.ModelProto', path: Path) -> list[Path]:
    """Write `path`; return it in a list."""
    import onnx
    with atomic_write(path) as part:
        onnx.save(model, part)
    return [path]


def _reader(batches: Iterable[np.ndarray]) -> 'CalibrationDataReader':
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._images: Iterator[np.ndarray] = one_at_a_time(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._images, None)
            return None if image is None else dict(images=image)
    return Reader()

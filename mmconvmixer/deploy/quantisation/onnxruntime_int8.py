"""int8 for onnxruntime: ONNX with QuantizeLinear and DequantizeLinear around the layers.

Weights are int8 with a scale for each output channel; activations uint8 with a zero
point, the one combination that all of onnxruntime's int8 kernels take.
"""
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmconvmixer.deploy.formats import onnx_file
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.quantisation import onnx_graph
from mmconvmixer.deploy.quantisation.accuracy import Run
from mmconvmixer.deploy.quantisation.calibration import one_at_a_time
from mmconvmixer.files import written_whole

PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')

LAYERS = ['Conv', 'Gemm', 'MatMul', 'Relu', 'Clip']
# Behind a GELU, which is computed in float, these are better left in float, too.
ELEMENTWISE = ['Add', 'Mul']


def quantise_onnx(job: Job, batches: Iterable[np.ndarray], path: Path) -> None:
    """Write the network in int8.

    Args:
        job: what is quantised; its dtype is not looked at.
        batches: of real pictures, (N, C, H, W) float32, normalised; all are used.
        path: .onnx
    """
    save(int8_graph(prepared_graph(job), batches), path)


def prepared_graph(job: Job):
    """Return the network in float32, an `onnx.ModelProto` ready for `int8_graph`."""
    import onnx
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, 'float.onnx')
        onnx_file.write(replace(job, dtype='float32'), plain)
        model = onnx.load(plain)
    onnx_graph.prepare(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def int8_graph(model, batches: Iterable[np.ndarray], keep: Collection[str] = ()):
    """Return a prepared graph in int8, an `onnx.ModelProto`.

    Args:
        model: what `prepared_graph` returned; it is left as it is.
        batches: see `quantise_onnx`.
        keep: layers (of `onnx_graph.layers`) that stay in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    known = onnx_graph.layers(model)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    has_gelu = any(node.op_type == 'Gelu' for node in copy.graph.node)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, 'int8.onnx')
        quantize_static(
            copy, written, _reader(batches), quant_format=QuantFormat.QDQ, per_channel=True,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
            op_types_to_quantize=LAYERS if has_gelu else LAYERS + ELEMENTWISE,
            nodes_to_exclude=[node for layer in keep for node in known[layer]])
        return onnx.load(written)


def runner(model) -> Run:
    """Return images -> outputs of an `onnx.ModelProto`."""
    import onnxruntime
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    return lambda images: session.run(None, {'images': images})[0]


def save(model, path: Path) -> list[Path]:
    import onnx
    with written_whole(path) as part:
        onnx.save(model, part)
    return [path]


def _reader(batches: Iterable[np.ndarray]):
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._pictures: Iterator[np.ndarray] = one_at_a_time(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self._pictures, None)
            return None if picture is None else dict(images=picture)
    return Reader()

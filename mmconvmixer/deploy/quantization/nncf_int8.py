"""int8 for OpenVINO, by NNCF.

Both kinds of convolution, the addition between them and the head's product get int8
inputs; everything else is computed on their results before these are stored. These
settings were the fastest (docs/quantization.md) on processors with VNNI and AMX:

- Activations have a zero point (NNCF's MIXED preset). BatchNorm's shift makes them only
  slightly negative, so symmetric ranges would waste levels; and OpenVINO's kernel for
  depthwise convolution is slow on symmetric int8.
- The inputs of the 1x1 convolutions are symmetric, because their kernel is faster without
  a zero point.
- Ranges minimize the error over a histogram of all images. The mean of the images'
  ranges, which is NNCF's default, clips values that are rare but large.
- Weights have seven bits, -64 .. 64, in all layers that sum over channels. A processor
  without VNNI adds two products of uint8 and int8 in 16 bits, which saturate: with eight
  bits the same file gives wrong outputs there (docs/quantization.md). NNCF's default uses
  seven bits in the first layer only. Depthwise kernels do not sum this way and keep eight.
"""
import contextlib
import logging
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.deploy import openvino_precision
from mmconvmixer.deploy.formats import FORMATS, openvino_ir
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.quantization.accuracy import Run
from mmconvmixer.deploy.quantization.calibration import one_at_a_time

if TYPE_CHECKING:
    import openvino

SUFFIX, BESIDE = openvino_ir.SUFFIX, openvino_ir.BESIDE
PACKAGES = ('openvino', 'nncf')

_LAYERS = ('Convolution', 'GroupConvolution', 'MatMul')


def quantize_openvino(job: Job, batches: Iterable[np.ndarray]) -> 'openvino.Model':
    """Return the network in int8.

    Args:
        job: what is quantized; its dtype is ignored.
        batches: real images (N, C, H, W) float32, normalized; all are used.

    Returns:
        A model images (N or 1, C, H, W) float32 -> logits or features float32. Where the
        processor has bfloat16, compile it with INFERENCE_PRECISION_HINT='bf16' for the
        parts that stay in floating point.
    """
    return quantized(prepared(job), batches)


def prepared(job: Job) -> 'openvino.Model':
    """Return the network in float32."""
    import openvino
    model = openvino_ir.convert(replace(job, dtype='float32'))
    # The conversion leaves height and width open, but kernels for one size are faster.
    model.reshape(openvino.PartialShape([-1 if job.dynamic_batch else 1, *job.input_shape]))
    _name_layers(model, job.network)
    return model


def quantized(model: 'openvino.Model', batches: Iterable[np.ndarray],
              keep: Collection[str] = ()) -> 'openvino.Model':
    """Return a network in int8.

    Args:
        model: what `prepared` returned; it is not changed.
        batches: see `quantize_openvino`.
        keep: layers (of `layers`) that stay in floating point.
    """
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    known, images = layers(model), list(one_at_a_time(batches))
    ignored = nncf.IgnoredScope(names=[op for layer in keep for op in known[layer]],
                                validate=False)
    with _quiet():
        return _make_pointwise_symmetric(nncf.quantize(
            model.clone(), nncf.Dataset(images), subset_size=len(images),
            preset=nncf.QuantizationPreset.MIXED, ignored_scope=ignored,
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.ENABLE,
                activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM)))


def layers(model: 'openvino.Model') -> dict[str, list[str]]:
    """Return the names of each layer's operations, by the layer's name.

    A layer is a convolution or matrix product with weights, and all operations up to the
    next one.
    """
    found: dict[str, list[str]] = {}
    operations: list[str] = []
    for op in model.get_ordered_ops():
        if _has_weights(op):
            operations = found.setdefault(op.get_friendly_name(), [])
        if op.get_type_name() not in ('Constant', 'Parameter', 'Result'):
            operations.append(op.get_friendly_name())
    return found


def runner(model: 'openvino.Model') -> Run:
    """Return images (N, C, H, W) -> outputs of a model, as OpenVINO runs it by default."""
    import openvino
    compiled = openvino.Core().compile_model(model, 'CPU')
    return lambda images: compiled(images)[0]


def layers_by_precision(model: 'openvino.Model') -> dict[str, int]:
    """Return how many layers OpenVINO computes in each precision, as `runner` runs them."""
    import openvino
    return openvino_precision.layers_by_precision(openvino.Core().compile_model(model, 'CPU'))


def float_runner(model: 'openvino.Model') -> Run:
    """Return images (N, C, H, W) -> outputs, in float32 even if the processor has bfloat16."""
    import openvino
    compiled = openvino.Core().compile_model(model, 'CPU', dict(INFERENCE_PRECISION_HINT='f32'))
    return lambda images: compiled(images)[0]


def save(model: 'openvino.Model', path: Path) -> list[Path]:
    """Write `path` (.xml) and the .bin beside it; return both."""
    import openvino
    if not FORMATS['openvino'].dynamic_batch:
        model = model.clone()
        model.reshape([1, *list(model.input().get_partial_shape())[1:]])
    weights = path.with_suffix('.bin')
    # The graph is renamed last, because it refers to the weights' file.
    with atomic_write(path) as graph_part, atomic_write(weights) as weights_part:
        try:
            openvino.save_model(model, graph_part, compress_to_fp16=False)
            graph_part.with_suffix('.bin').replace(weights_part)
        finally:
            graph_part.with_suffix('.bin').unlink(missing_ok=True)
    return [path, weights]


def _name_layers(model: 'openvino.Model', network: nn.Module) -> None:
    """Name the layers after the network's modules, if both are the same."""
    modules = {name: module.weight.numel() for name, module in network.named_modules()
               if isinstance(module, nn.Conv2d | nn.Linear)}
    found = [op for op in model.get_ordered_ops() if _has_weights(op)]
    sizes = [int(np.prod(op.input_value(1).get_shape())) for op in found]
    if sizes == list(modules.values()):
        for op, name in zip(found, modules, strict=True):
            op.set_friendly_name(name)


def _has_weights(op: 'openvino.Node') -> bool:
    return (op.get_type_name() in _LAYERS
            and op.input_value(1).get_node().get_type_name() == 'Constant')


def _make_pointwise_symmetric(model: 'openvino.Model') -> 'openvino.Model':
    """Change the inputs of 1x1 convolutions to ranges without a zero point."""
    from openvino.op import Constant
    for op in model.get_ordered_ops():
        consumers = ([each.get_node() for each in op.output(0).get_target_inputs()]
                     if op.get_type_name() == 'FakeQuantize' else [])
        if len(consumers) != 1 or not _is_pointwise(consumers[0]):
            continue
        low, high = (op.input_value(place).get_node() for place in (1, 2))
        if low.get_type_name() != 'Constant' or low.data.min() >= 0:
            continue
        # -128 .. 127 with one step size.
        most = max(-low.data.min(), high.data.max() * 128 / 127)
        for place, bound in ((1, -most), (2, most * 127 / 128), (3, -most), (4, most * 127 / 128)):
            shape = op.input_value(place).get_node().data.shape
            op.input(place).replace_source_output(
                Constant(np.full(shape, bound, np.float32)).output(0))
    model.validate_nodes_and_infer_types()
    return model


def _is_pointwise(op: 'openvino.Node') -> bool:
    return (op.get_type_name() == 'Convolution'
            and list(op.input_value(1).get_shape())[2:] == [1, 1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send NNCF's progress to stderr, and silence the list of its decisions."""
    log = logging.getLogger('nncf')
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        log.setLevel(before)

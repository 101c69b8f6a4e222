"""int8 for OpenVINO, by NNCF.

Both kinds of convolution, the addition between them and the head's product get int8
inputs; what stands between is computed on their results, before these are stored. The
settings are what measured fastest (docs/quantisation.md) on processors with VNNI and AMX:

- Activations with a zero point (NNCF's MIXED preset). BatchNorm's shift makes them
  negative on one side only a little, so symmetric ranges would waste levels; and
  OpenVINO's kernel for depthwise convolution on symmetric int8 is its slow one.
- But symmetric at the entrance of the 1x1 convolutions, whose kernel is the faster
  without a zero point.
"""
import contextlib
import logging
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmconvmixer.deploy.formats import openvino_ir
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.quantisation.accuracy import Run, TestSet, top1
from mmconvmixer.deploy.quantisation.calibration import one_at_a_time
from mmconvmixer.files import written_whole

PACKAGES = ('openvino', 'nncf')
RANKED_ON = 2000  # pictures, of the test set


def quantise_openvino(job: Job, batches: Iterable[np.ndarray]):
    """Return the network in int8.

    Args:
        job: what is quantised; its dtype is not looked at.
        batches: of real pictures, (N, C, H, W) float32, normalised; all are used.

    Returns:
        An `openvino.Model`: images (N or 1, C, H, W) float32 -> logits or features
        float32. Compile it with INFERENCE_PRECISION_HINT='bf16' where the processor
        has bfloat16, for what is left of floating point.
    """
    import nncf
    pictures = list(one_at_a_time(batches))
    with _quiet():
        quantised = nncf.quantize(_float_model(job), nncf.Dataset(pictures),
                                  subset_size=len(pictures),
                                  preset=nncf.QuantizationPreset.MIXED)
    return _make_pointwise_symmetric(quantised)


def quantise_openvino_within(job: Job, batches: Iterable[np.ndarray], test_set: TestSet,
                             max_drop: float):
    """Return the network in int8, but for the layers that cost the accuracy.

    NNCF's accuracy control ranks the layers by top-1 on a part of the test set and
    returns the worst to floating point, one by one, until the drop fits.

    Args:
        job, batches: see `quantise_openvino`.
        test_set: what top-1 is measured on.
        max_drop: of top-1, in points.
    """
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedAccuracyRestorerParameters
    pictures = list(one_at_a_time(batches))

    def validate(compiled, batches) -> tuple[float, None]:
        return top1(dict(it=lambda images: compiled(images)[0]), batches)['it'], None

    with _quiet():
        return nncf.quantize_with_accuracy_control(
            _float_model(job), nncf.Dataset(pictures), nncf.Dataset(test_set), validate,
            max_drop=max_drop, drop_type=nncf.DropType.ABSOLUTE, subset_size=len(pictures),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(
                ranking_subset_size=math.ceil(RANKED_ON / test_set.batch_size)))


def runner(model) -> Run:
    """Return images -> outputs of an `openvino.Model`, as OpenVINO runs it by default."""
    import openvino
    compiled = openvino.Core().compile_model(model, 'CPU')
    return lambda images: compiled(images)[0]


def float_runner(job: Job) -> Run:
    """Return images -> outputs of the network in float32."""
    import openvino
    compiled = openvino.Core().compile_model(_float_model(job), 'CPU',
                                             dict(INFERENCE_PRECISION_HINT='f32'))
    return lambda images: compiled(images)[0]


def kept_in_float(model) -> list[str]:
    """Return the convolutions and matrix products of an `openvino.Model` not in int8."""
    return [op.get_friendly_name() for op in model.get_ordered_ops()
            if op.get_type_name() in ('Convolution', 'GroupConvolution', 'MatMul')
            and not _is_int8(op)]


def save(model, path: Path) -> list[Path]:
    """Write `path` (.xml) and the .bin beside it."""
    import openvino
    weights = path.with_suffix('.bin')
    # The graph last: what names the other file.
    with written_whole(path) as graph_part, written_whole(weights) as weights_part:
        openvino.save_model(model, graph_part, compress_to_fp16=False)
        graph_part.with_suffix('.bin').replace(weights_part)
    return [path, weights]


def _float_model(job: Job):
    import openvino
    model = openvino_ir.convert(replace(job, dtype='float32'))
    # The conversion leaves height and width open; kernels for one size are faster.
    model.reshape(openvino.PartialShape([-1 if job.dynamic_batch else 1, *job.input_shape]))
    return model


def _make_pointwise_symmetric(model):
    """Give the inputs of 1x1 convolutions ranges without a zero point."""
    from openvino.op import Constant
    for node in model.get_ordered_ops():
        consumers = ([each.get_node() for each in node.output(0).get_target_inputs()]
                     if node.get_type_name() == 'FakeQuantize' else [])
        if len(consumers) != 1 or not _is_pointwise(consumers[0]):
            continue
        low, high = (node.input_value(place).get_node() for place in (1, 2))
        if low.get_type_name() != 'Constant' or low.data.min() >= 0:
            continue
        # -128 .. 127 of the same step.
        most = max(-low.data.min(), high.data.max() * 128 / 127)
        for place, bound in ((1, -most), (2, most * 127 / 128), (3, -most), (4, most * 127 / 128)):
            shape = node.input_value(place).get_node().data.shape
            node.input(place).replace_source_output(
                Constant(np.full(shape, bound, np.float32)).output(0))
    model.validate_nodes_and_infer_types()
    return model


def _is_pointwise(node) -> bool:
    return (node.get_type_name() == 'Convolution'
            and list(node.input_value(1).get_shape())[2:] == [1, 1])


def _is_int8(node) -> bool:
    """Whether a layer's weights pass through eight bits."""
    weight = node.input_value(1).get_node()
    while weight.get_input_size():
        if weight.get_type_name() == 'FakeQuantize':
            return True
        weight = weight.input_value(0).get_node()
    return weight.get_element_type().size == 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """NNCF's progress to stderr, and no list of its decisions."""
    log = logging.getLogger('nncf')
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        log.setLevel(before)

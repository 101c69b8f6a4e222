"""Prepare an ONNX graph for int8: it computes the same, but is easier to quantize."""
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

GELU_IS_ZERO_BELOW = -4.  # where it is -1.3e-4, and still closer to 0 below that


def prepare(model: 'onnx.ModelProto') -> None:
    """Change a model in place.

    - `scale * relu(conv(x))` becomes `relu(conv(x))` with the scale in the weights, if
      all scales are positive. int8 then needs neither an operator nor rounding for it.
    - `gelu(conv(x))` becomes `gelu(max(conv(x), -4))`. Smaller values make no difference,
      but the 256 levels would have to cover them. Quantization turns the clipping into
      its range and removes the operator.
    """
    _fold_scales(model.graph)
    _clip_before_gelu(model.graph)
    # The exporter has inferred the shapes; without this note, onnxruntime warns that
    # they are missing.
    model.metadata_props.add(key='onnx.quant.pre_process', value='onnxruntime.quant')


def _fold_scales(graph: 'onnx.GraphProto') -> None:
    from onnx import numpy_helper
    constants = {each.name: each for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    for multiply in [node for node in graph.node if node.op_type == 'Mul']:
        names = sorted(multiply.input, key=lambda name: name in constants)
        relu = makers.get(names[0])
        conv = makers.get(relu.input[0]) if relu is not None and relu.op_type == 'Relu' else None
        if names[1] not in constants or conv is None or conv.op_type != 'Conv':
            continue
        scale = numpy_helper.to_array(constants[names[1]])
        weight = numpy_helper.to_array(constants[conv.input[1]])
        used_once = all(_uses(graph, each) == 1 for each in (*conv.output, *relu.output,
                                                             *conv.input[1:]))
        if not (scale > 0).all() or not used_once or scale.size not in (1, len(weight)):
            continue
        for name in conv.input[1:]:
            value = numpy_helper.to_array(constants[name])
            factor = scale.reshape(-1, *[1] * (value.ndim - 1))
            constants[name].CopyFrom(numpy_helper.from_array(
                np.ascontiguousarray(value * factor, value.dtype), name))
        relu.output[0] = multiply.output[0]
        graph.node.remove(multiply)
        if not _uses(graph, names[1]):
            graph.initializer.remove(constants[names[1]])


def _clip_before_gelu(graph: 'onnx.GraphProto') -> None:
    from onnx import helper, numpy_helper
    makers = {name: node for node in graph.node for name in node.output}
    least = numpy_helper.from_array(np.float32(GELU_IS_ZERO_BELOW), 'gelu_is_zero_below')
    for position, node in reversed(list(enumerate(graph.node))):
        before = makers.get(node.input[0]) if node.op_type == 'Gelu' else None
        if before is None or before.op_type != 'Conv' or _uses(graph, node.input[0]) > 1:
            continue
        clip = helper.make_node('Clip', [node.input[0], least.name],
                                [f'{node.input[0]}_clipped'], name=f'{node.name}_clip')
        node.input[0] = clip.output[0]
        graph.node.insert(position, clip)
        if all(each.name != least.name for each in graph.initializer):
            graph.initializer.append(least)


def _uses(graph: 'onnx.GraphProto', name: str) -> int:
    return sum(list(node.input).count(name) for node in graph.node)

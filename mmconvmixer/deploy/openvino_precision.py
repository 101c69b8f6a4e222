"""The precision in which OpenVINO computes a compiled network, read back from OpenVINO.

It takes the hint 'bf16' without an error on a processor that lacks it, and computes in
float32.
"""
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino

_LAYERS = ('Convolution', 'FullyConnected', 'MatMul')  # depthwise is the first, too
_NAMES = dict(f32='float32', bf16='bfloat16', f16='float16', u8='int8', i8='int8')


def layers_by_precision(compiled: 'openvino.CompiledModel') -> dict[str, int]:
    """Return how many convolutions and matrix products run in each precision."""
    found = Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        if info['layerType'].value in _LAYERS:
            precision = info['runtimePrecision'].value
            found[_NAMES.get(precision, precision)] += 1
    return dict(found)


def precision_of(compiled: 'openvino.CompiledModel') -> str:
    """Return the precision of most convolutions and matrix products."""
    layers = layers_by_precision(compiled)
    return max(layers, key=layers.__getitem__)

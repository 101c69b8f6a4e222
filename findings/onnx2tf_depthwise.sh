#!/usr/bin/env bash
# onnx2tf 1.29.24 converts an ONNX Conv whose group is its number of channels.
#
# Guess: it becomes a DEPTHWISE_CONV_2D of TensorFlow Lite, whatever comes before it.
# Seen:
#   onnx 1.19.1 tensorflow 2.19.0 onnx2tf 1.29.24
#   after a convolution: DEPTHWISE_CONV_2D, filter 1 x 5 x 5 x 16
#   after a convolution and Add of a constant: CONV_2D, filter 16 x 5 x 5 x 1
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet onnx2tf==1.29.24
cd "$scratch"
venv/bin/python - 2>/dev/null <<'PYTHON'
from importlib.metadata import version

import numpy as np
import onnx
import onnx2tf
import tensorflow
from ai_edge_litert.interpreter import Interpreter
from onnx import helper, numpy_helper

CHANNELS = 16
rng = np.random.default_rng(0)
weights = {'patches': (CHANNELS, 3, 4, 4), 'constant': (CHANNELS, 1, 1),
           'filter': (CHANNELS, 1, 5, 5)}


def depthwise_of(with_add):
    """Convert a network; return the operator of its last convolution, and its filter's shape."""
    name = 'with_add' if with_add else 'without_add'
    before = 'sum' if with_add else 'map'
    nodes = [helper.make_node('Conv', ['image', 'patches'], ['map'], kernel_shape=[4, 4],
                              strides=[4, 4]),
             *[helper.make_node('Add', ['map', 'constant'], ['sum'])] * with_add,
             helper.make_node('Conv', [before, 'filter'], ['out'], group=CHANNELS,
                              kernel_shape=[5, 5], pads=[2, 2, 2, 2])]
    used = {each for node in nodes for each in node.input}
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info('image', onnx.TensorProto.FLOAT, ['batch', 3, 32, 32])],
        [helper.make_tensor_value_info('out', onnx.TensorProto.FLOAT, ['batch', CHANNELS, 8, 8])],
        [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), each)
         for each, shape in weights.items() if each in used])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, f'{name}.onnx')
    onnx2tf.convert(f'{name}.onnx', output_folder_path=name, non_verbose=True)
    interpreter = Interpreter(f'{name}/{name}_float32.tflite')
    shapes = {each['index']: each['shape'] for each in interpreter.get_tensor_details()}
    last = [each for each in interpreter._get_ops_details() if 'CONV' in each['op_name']][-1]
    return last['op_name'], ' x '.join(map(str, shapes[last['inputs'][1]]))


direct, after_add = depthwise_of(with_add=False), depthwise_of(with_add=True)
print('onnx', onnx.__version__, 'tensorflow', tensorflow.__version__,
      'onnx2tf', version('onnx2tf'))
print('after a convolution: {}, filter {}'.format(*direct))
print('after a convolution and Add of a constant: {}, filter {}'.format(*after_add))
raise SystemExit(not (direct[0] == 'DEPTHWISE_CONV_2D' and after_add[0] == 'CONV_2D'))
PYTHON

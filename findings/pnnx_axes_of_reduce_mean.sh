#!/usr/bin/env bash
# pnnx converts a convolution and a mean over one axis for ncnn: with ONNX's opset 13, where the
# axis is an attribute, and with 18, where it is an input.
#
# Guess: both give the same ncnn network, or pnnx refuses the input that it does not read.
# Seen:
#   pnnx 20261020 ncnn 1.0.20261020 onnx 1.23.2
#   opset 13: exit code 0, (4, 6) values, largest difference 2e-07
#   opset 18: exit code 0, (4, 6, 6) values: nothing was averaged
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
# Without torch, which only the wrapper of pnnx imports.
"$scratch/venv/bin/pip" install --quiet --no-deps pnnx==20261020
"$scratch/venv/bin/pip" install --quiet ncnn==1.0.20261020 onnx==1.23.2
cd "$scratch"
venv/bin/python - <<'PYTHON'
import subprocess
from importlib.metadata import distribution, version

import ncnn
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PNNX = distribution('pnnx').locate_file('pnnx/pnnx')
generator = np.random.default_rng(0)
image = generator.standard_normal((1, 3, 6, 6)).astype(np.float32)
weight = generator.standard_normal((4, 3, 1, 1)).astype(np.float32)
expected = np.einsum('oi,ihw->ohw', weight[:, :, 0, 0], image[0]).mean(2)


def averaged(opset):
    """Return what ncnn computes for a mean over the last axis."""
    constants = [numpy_helper.from_array(weight, 'weight')]
    if opset < 18:
        mean = helper.make_node('ReduceMean', ['map'], ['out'], axes=[3], keepdims=0)
    else:
        constants.append(numpy_helper.from_array(np.array([3]), 'axes'))
        mean = helper.make_node('ReduceMean', ['map', 'axes'], ['out'], keepdims=0)
    graph = helper.make_graph(
        [helper.make_node('Conv', ['in', 'weight'], ['map']), mean], 'net',
        [helper.make_tensor_value_info('in', TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info('out', TensorProto.FLOAT, [1, 4, 6])], constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', opset)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, 'net.onnx')
    code = subprocess.run([PNNX, 'net.onnx', 'inputshape=[1,3,6,6]f32', 'fp16=0'],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param('net.ncnn.param')
    net.load_model('net.ncnn.bin')
    pixels, extractor = image[0].copy(), net.create_extractor()
    extractor.input('in0', ncnn.Mat(pixels))
    return code, np.array(extractor.extract('out0')[1])


print('pnnx', version('pnnx'), 'ncnn', ncnn.__version__, 'onnx', onnx.__version__)
(code13, attribute), (code18, as_input) = averaged(13), averaged(18)
print(f'opset 13: exit code {code13}, {attribute.shape} values, largest difference '
      f'{np.abs(attribute.reshape(expected.shape) - expected).max():.0e}')
print(f'opset 18: exit code {code18}, {as_input.shape} values: nothing was averaged')
as_described = (code13 == code18 == 0 and np.allclose(attribute, expected, atol=1e-5)
                and as_input.size == expected.size * 6)
raise SystemExit(not as_described)
PYTHON

#!/usr/bin/env bash
# tf2onnx 1.17.0 converts a Keras layer with the exact GELU, Keras 3's default.
#
# Guess: what ONNX has no operator for is an error, or is written by operators that it has
# (erfc(x) = 1 - erf(x)).
# Seen:
#   tensorflow 2.21.0 keras 3.15.1 tf2onnx 1.17.0 onnx 1.23.2 onnxruntime 1.32.0
#   tf2onnx ends with exit code 0 and says: Successfully converted TensorFlow model saved to ONNX
#   operators: Erfc, MatMul, Mul, Neg
#   onnx.checker: No Op registered for Erfc with domain_version of 15
#   onnxruntime: does not load the file
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet tensorflow==2.21.0 keras==3.15.1 tf2onnx==1.17.0 \
    onnx==1.23.2 onnxruntime==1.32.0
cd "$scratch"
venv/bin/python - 2>/dev/null <<'PYTHON'
import subprocess
import sys

import keras
import onnx
import onnxruntime
import tensorflow
import tf2onnx

network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation='gelu')])
network.export('saved', verbose=False)
done = subprocess.run([sys.executable, '-m', 'tf2onnx.convert', '--saved-model', 'saved', '--output',
                       'network.onnx'], capture_output=True, text=True)
success = [line.split(' - ')[-1] for line in done.stderr.splitlines()
           if 'Successfully converted' in line]
model = onnx.load('network.onnx')
operators = sorted({node.op_type for node in model.graph.node})


def error_of(call):
    """The message of a call that fails, or '' if it does not."""
    try:
        call()
    except Exception as error:
        return str(error).splitlines()[0]
    return ''


checker = error_of(lambda: onnx.checker.check_model(model))
runtime = error_of(lambda: onnxruntime.InferenceSession('network.onnx'))
print('tensorflow', tensorflow.__version__, 'keras', keras.__version__, 'tf2onnx',
      tf2onnx.__version__, 'onnx', onnx.__version__, 'onnxruntime', onnxruntime.__version__)
print(f'tf2onnx ends with exit code {done.returncode} and says:', *success)
print('operators:', ', '.join(operators))
print('onnx.checker:', checker or 'accepts the file')
print('onnxruntime:', 'does not load the file' if runtime else 'loads the file')
raise SystemExit(not (done.returncode == 0 and success and 'Erfc' in operators and checker
                      and runtime))
PYTHON

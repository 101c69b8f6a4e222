#!/usr/bin/env bash
# OpenVINO 2026.4.1 reads an ONNX Resize with antialias=1.
#
# Guess: the converter keeps the attribute, or refuses a model that has it.
# Seen:
#   onnx 1.23.2 onnxruntime 1.32.0 openvino 2026.4.1
#   OpenVINO, antialias=1, against onnxruntime, antialias=1: 0.3446 apart
#   OpenVINO, antialias=1, against onnxruntime, antialias=0: 0.0000 apart
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$scratch"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino

TEXT = '''<ir_version: 10, opset_import: ["" : 20]>
resize (float[1, 1, 64, 64] image) => (float[1, 1, 16, 16] small)
<int64[4] sizes = {1, 1, 16, 16}>
{ small = Resize <mode = "linear", antialias = ANTIALIAS> (image, , , sizes) }'''


def model(antialias):
    return onnx.parser.parse_model(TEXT.replace('ANTIALIAS', str(antialias)))


def in_onnxruntime(antialias):
    session = onnxruntime.InferenceSession(model(antialias).SerializeToString())
    return session.run(None, {'image': image})[0]


def in_openvino(antialias):
    onnx.save(model(antialias), 'resize.onnx')
    return openvino.Core().compile_model(openvino.convert_model('resize.onnx'), 'CPU')(image)[0]


image = np.random.default_rng(0).random((1, 1, 64, 64), np.float32)
smooth, sharp = in_onnxruntime(1), in_onnxruntime(0)
converted = in_openvino(1)
print('onnx', onnx.__version__, 'onnxruntime', onnxruntime.__version__,
      'openvino', openvino.__version__.split('-')[0])
with_antialias = np.abs(converted - smooth).max()
without_antialias = np.abs(converted - sharp).max()
print(f'OpenVINO, antialias=1, against onnxruntime, antialias=1: {with_antialias:.4f} apart')
print(f'OpenVINO, antialias=1, against onnxruntime, antialias=0: {without_antialias:.4f} apart')
raise SystemExit(not (with_antialias > 0.1 and without_antialias < 1e-3))
PYTHON

#!/usr/bin/env bash
# torchao 0.18.0 quantizes a small convolutional network to int8 by quantize_.
#
# Guess: it quantizes the convolutions as well as the linear layer, or says what it left alone.
# Seen:
#   torch 2.13.0+cpu torchao 0.18.0
#   Conv2d: Parameter
#   Linear: Int8Tensor
#   warnings: 0, log records: 0, lines printed: 0
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet numpy==2.4.6 torch==2.13.0 torchao==0.18.0
cd "$scratch"
venv/bin/python -W ignore - 2>/dev/null <<'PYTHON'
import contextlib
import io
import logging
import warnings

import torch
import torchao
from torch import nn
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

records = []
handler = logging.Handler()
handler.emit = records.append
logging.getLogger().addHandler(handler)

network = nn.Sequential(nn.Conv2d(3, 64, 4, 4), nn.GELU(), nn.Conv2d(64, 64, 5, groups=64),
                        nn.GELU(), nn.Conv2d(64, 64, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(64, 10)).eval()
printed = io.StringIO()
with (warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed),
      contextlib.redirect_stderr(printed)):
    warnings.simplefilter('always')
    quantize_(network, Int8DynamicActivationInt8WeightConfig())

kinds = {}
for layer in network:
    if hasattr(layer, 'weight'):
        kinds.setdefault(type(layer).__name__, set()).add(type(layer.weight).__name__)
lines = len(printed.getvalue().splitlines())
print('torch', torch.__version__, 'torchao', torchao.__version__)
for kind, weights in kinds.items():
    print(f'{kind}:', ', '.join(sorted(weights)))
print(f'warnings: {len(warned)}, log records: {len(records)}, lines printed: {lines}')
raise SystemExit(not (kinds['Conv2d'] == {'Parameter'} and kinds['Linear'] == {'Int8Tensor'}
                      and not warned and not records and not lines))
PYTHON

#!/usr/bin/env bash
# torch 2.14.1 on a machine without a GPU computes a gradient in a forked process.
#
# Guess: a network that was exported before makes no difference. torch refuses gradients after a
# fork where it has started threads for GPUs, which a fork loses; without a GPU there are none.
# Seen:
#   torch 2.14.1, GPUs: 0
#   a gradient, then an export: 0 threads of autograd; the forked process computes a gradient
#   an export, then a gradient: 8 threads of autograd; the forked process is refused
# The order decides: torch looks for devices once, at the first gradient, and finds the one that
# the export pretended to have. (torch.compile and make_fx pretend, too.)
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet torch==2.14.1 numpy==2.4.6
cd "$scratch"
cat > order.py <<'PYTHON'
import os
import sys
from pathlib import Path

import torch


def gradient():
    torch.ones(2, requires_grad=True).sum().backward()


def export():
    torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))


for step in sys.argv[1:]:
    dict(gradient=gradient, export=export)[step]()
names = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]
print(sum(name.startswith('pt_autograd') for name in names), 'threads of autograd; ', end='',
      flush=True)
process = os.fork()
if process == 0:
    try:
        gradient()
    except RuntimeError:
        os._exit(1)
    os._exit(0)
refused = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
print('the forked process', 'is refused' if refused else 'computes a gradient')
PYTHON
venv/bin/python -c 'import torch
print("torch", torch.__version__.split("+")[0], end=", ")
print("GPUs:", torch.cuda.device_count())'
first=$(venv/bin/python order.py gradient export)
second=$(venv/bin/python order.py export gradient)
echo "a gradient, then an export: $first"
echo "an export, then a gradient: $second"
[ "$first" = '0 threads of autograd; the forked process computes a gradient' ]
[[ "$second" =~ ^[1-9][0-9]*' threads of autograd; the forked process is refused'$ ]]

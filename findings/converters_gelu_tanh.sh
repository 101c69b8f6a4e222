#!/usr/bin/env bash
# executorch 1.5.1 (XNNPACK) and coremltools 9.0 convert torch.nn.GELU(approximate='tanh').
#
# Guess: both keep the approximation, or refuse it.
# Seen:
#   torch 2.14.1, executorch 1.5.1, coremltools 9.0
#   ExecuTorch: off from the tanh GELU by 4.7e-04, from the exact one by 4.8e-07, with no message
#   Core ML: mode EXACT
# Spelled out as a formula with tanh, it is kept in both.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet executorch==1.5.1 coremltools==9.0 torch==2.14.1
cd "$scratch"
venv/bin/python -W ignore - 2> log <<'PYTHON' || { tail log; exit 1; }
from importlib.metadata import version

import coremltools
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch.nn.functional import gelu

print(f'torch {torch.__version__.split("+")[0]}, executorch {version("executorch")}, '
      f'coremltools {coremltools.__version__}')
x = torch.linspace(-4, 4, 801)[None]
program = torch.export.export(torch.nn.GELU(approximate='tanh').eval(), (x,))

lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
method = Runtime.get().load_program(lowered.to_executorch().buffer).load_method('forward')
output = method.execute([x])[0]
tanh, exact = ((output - gelu(x, approximate=mode)).abs().max().item() for mode in ('tanh', 'none'))
print(f'ExecuTorch: off from the tanh GELU by {tanh:.1e}, from the exact one by {exact:.1e}, '
      'with no message')

model = coremltools.convert(program.run_decompositions({}), skip_model_load=True)
modes = [operation.mode.val for operation in model._mil_program.functions['main'].operations
         if operation.op_type == 'gelu']
print('Core ML: mode', *modes)
raise SystemExit(not (tanh > 1e-4 and exact < 1e-5 and modes == ['EXACT']))
PYTHON

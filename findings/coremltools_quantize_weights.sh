#!/usr/bin/env bash
# coremltools 9.0 stores the weights of its own finished file in int8 (linear_quantize_weights).
#
# The network is a convolution, ReLU, then a factor and a shift for each channel.
# Guess: works for files in float16 and float32, and changes the convolution's weights only.
# Seen:
#   torch 2.14.1, coremltools 9.0
#   float16: ValueError: In op, of type batch_norm, named add_cast_fp16, the named input `mean` must
#            have the same data type as the named input `x`. However, mean has dtype fp32 whereas x
#            has dtype fp16.
#   float32: conv, mul, add became conv, batch_norm with epsilon 1e-05
# The function also runs the passes that conversion runs by default. One of them makes BatchNorm of
# a product and a sum: its mean is always in float32, and its epsilon is added to a variance of 1.
# That the pass was left out in the conversion, as here, makes no difference.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet coremltools==9.0 torch==2.14.1
cd "$scratch"
venv/bin/python -W ignore - 2> log <<'PYTHON' || { tail log; exit 1; }
import coremltools as ct
import torch
from coremltools.optimize.coreml import (
    OpLinearQuantizerConfig,
    OptimizationConfig,
    linear_quantize_weights,
)

print(f'torch {torch.__version__.split("+")[0]}, coremltools {ct.__version__}')


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 64, 8)
        self.register_buffer('factor', torch.linspace(1, 2, 64)[:, None, None])
        self.register_buffer('shift', torch.linspace(-1, 1, 64)[:, None, None])

    def forward(self, images):
        return torch.relu(self.conv(images)) * self.factor + self.shift


def converted(precision):
    program = torch.export.export(Network().eval(), (torch.zeros(1, 3, 16, 16),))
    passes = ct.PassPipeline()
    passes.remove_passes(['common::fuse_elementwise_to_batchnorm'])
    return ct.convert(program.run_decompositions({}), compute_precision=precision,
                      pass_pipeline=passes, minimum_deployment_target=ct.target.iOS15,
                      skip_model_load=True)


def operations(model):
    names = [each.op_type for each in model._mil_program.functions['main'].operations]
    return [name for name in names if name in ('conv', 'mul', 'add', 'batch_norm')]


config = OptimizationConfig(OpLinearQuantizerConfig())
error = ''
try:
    linear_quantize_weights(converted(ct.precision.FLOAT16), config)
except ValueError as raised:
    error = str(raised)
print('float16: ValueError:', error)
before = converted(ct.precision.FLOAT32)
after = linear_quantize_weights(before, config)
epsilons = [float(each.epsilon.val) for each in after._mil_program.functions['main'].operations
            if each.op_type == 'batch_norm']
print(f'float32: {", ".join(operations(before))} became {", ".join(operations(after))} '
      f'with epsilon {epsilons[0]:.0e}')
raise SystemExit(not ('mean has dtype fp32' in error and operations(after) == ['conv', 'batch_norm']
                      and operations(before) == ['conv', 'mul', 'add']))
PYTHON

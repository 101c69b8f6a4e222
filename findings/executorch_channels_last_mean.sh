#!/usr/bin/env bash
# executorch 1.5.1 with XNNPACK: a channels-last convolution, then flatten(2).mean(2).
#
# Guess: the mean over all positions is right for a fixed and for a variable number of images.
# Seen:
#   torch 2.14.1, executorch 1.5.1
#   fixed number of images, flatten(2).mean(2): off by 1.2e-07
#   variable number of images, flatten(2).mean(2): off by 5.7e-01, with no message
#   variable number of images, mean((2, 3)): off by 1.2e-07
# The flattening is left to another kernel, which reads the channels-last map as if it were NCHW.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet executorch==1.5.1 torch==2.14.1
cd "$scratch"
venv/bin/python -W ignore - 2> log <<'PYTHON' || { tail log; exit 1; }
from importlib.metadata import version

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torch import nn

print(f'torch {torch.__version__.split("+")[0]}, executorch {version("executorch")}')


class Network(nn.Module):
    def __init__(self, flatten):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.flatten = nn.Conv2d(3, 8, 3), flatten

    def forward(self, images):
        maps = self.convolution(images.contiguous(memory_format=torch.channels_last))
        return maps.flatten(2).mean(2) if self.flatten else maps.mean((2, 3))


def off_by(flatten, variable):
    network = Network(flatten).eval()
    shapes = ({0: torch.export.Dim('batch', min=1, max=8)},) if variable else None
    images = torch.randn(4, 3, 8, 8)
    program = torch.export.export(network, (images,), dynamic_shapes=shapes)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    method = Runtime.get().load_program(lowered.to_executorch().buffer).load_method('forward')
    return (method.execute([images])[0] - network(images)).abs().max().item()


fixed, variable, right = off_by(True, False), off_by(True, True), off_by(False, True)
print(f'fixed number of images, flatten(2).mean(2): off by {fixed:.1e}')
print(f'variable number of images, flatten(2).mean(2): off by {variable:.1e}, with no message')
print(f'variable number of images, mean((2, 3)): off by {right:.1e}')
raise SystemExit(not (fixed < 1e-5 and variable > 0.01 and right < 1e-5))
PYTHON

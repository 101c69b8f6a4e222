#!/usr/bin/env bash
# executorch 1.5.1 lowers a convolution for 1 to 64 images to XNNPACK.
#
# Guess: the file takes 1 to 64 images, as it does without XNNPACK.
# Seen:
#   torch 2.14.1, executorch 1.5.1
#   without XNNPACK: memory for 64 images; 20 images are computed
#   with XNNPACK: memory for 15 images; 20 images are refused
# The lowering asks torch which kernel a convolution would use. torch looks whether there are fewer
# than 16 images and limits the range to the side on which the example (2) lies.
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

print(f'torch {torch.__version__.split("+")[0]}, executorch {version("executorch")}')


def lowered(partitioner):
    network = torch.nn.Conv2d(3, 4, 3).eval()
    batch = torch.export.Dim('batch', min=1, max=64)
    program = torch.export.export(network, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: batch},))
    buffer = to_edge_transform_and_lower(program, partitioner=partitioner).to_executorch().buffer
    method = Runtime.get().load_program(buffer).load_method('forward')
    count = method.metadata.input_tensor_meta(0).sizes()[0]
    try:
        method.execute([torch.zeros(20, 3, 8, 8)])
        return count, 'computed'
    except RuntimeError:
        return count, 'refused'


without, within = lowered([]), lowered([XnnpackPartitioner()])
print(f'without XNNPACK: memory for {without[0]} images; 20 images are {without[1]}')
print(f'with XNNPACK: memory for {within[0]} images; 20 images are {within[1]}')
raise SystemExit((without, within) != ((64, 'computed'), (15, 'refused')))
PYTHON

#!/usr/bin/env bash
# mmcv.cnn.fuse_conv_bn on convolution, activation, BatchNorm (ConvMixer's order).
#
# Guess: it fuses a BatchNorm that directly follows a convolution, and leaves others alone.
# Seen:
#   mmcv-lite 2.2.0 torch 2.13.0+cpu
#   conv, BatchNorm, GELU: fusing changes the output by 5.4e-07
#   conv, GELU, BatchNorm: fusing changes the output by 9.1e-01, with no message
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet mmcv-lite==2.2.0 mmengine==0.10.7 'setuptools<82' torch==2.13.0
cd "$scratch"
venv/bin/python -W ignore - <<'PYTHON'
import copy

import mmcv
import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn


def change(*layers):
    """The largest difference that fusing makes to the output of a network."""
    torch.manual_seed(0)
    network = nn.Sequential(*layers)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
    network.eval()
    fused = fuse_conv_bn(copy.deepcopy(network))
    image = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        return (network(image) - fused(image)).abs().max().item()


print('mmcv-lite', mmcv.__version__, 'torch', torch.__version__)
usual = change(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU())
convmixer = change(nn.Conv2d(3, 8, 3), nn.GELU(), nn.BatchNorm2d(8))
print(f'conv, BatchNorm, GELU: fusing changes the output by {usual:.1e}')
print(f'conv, GELU, BatchNorm: fusing changes the output by {convmixer:.1e}, with no message')
raise SystemExit(not (usual < 1e-5 and convmixer > 0.1))
PYTHON

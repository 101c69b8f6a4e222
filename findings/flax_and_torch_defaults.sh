#!/usr/bin/env bash
# GELU and LayerNorm of flax 0.12.8 and of torch 2.13.0, both with their defaults.
#
# Guess: layers of the same name compute the same, so weights can be carried over as they are.
# Seen:
#   flax 0.12.8 jax 0.10.2 torch 2.13.0+cpu
#   gelu(x): 4.7e-04 apart; 4.8e-07 apart with approximate="tanh" in torch
#   LayerNorm of inputs of size 1e-3: 1.1e+00 apart; 1.2e-07 with eps=1e-6 in torch
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet flax==0.12.8 jax==0.10.2 numpy==2.4.6 torch==2.13.0
cd "$scratch"
JAX_PLATFORMS=cpu venv/bin/python -W ignore - <<'PYTHON'
import flax
import flax.linen
import jax
import numpy as np
import torch
import torch.nn.functional as F

print('flax', flax.__version__, 'jax', jax.__version__, 'torch', torch.__version__)
x = np.linspace(-4, 4, 1001, dtype=np.float32)
from_flax, tensor = np.asarray(flax.linen.gelu(x)), torch.from_numpy(x)
plain = np.abs(F.gelu(tensor).numpy() - from_flax).max()
tanh = np.abs(F.gelu(tensor, approximate='tanh').numpy() - from_flax).max()
print(f'gelu(x): {plain:.1e} apart; {tanh:.1e} apart with approximate="tanh" in torch')
small = (1e-3 * np.random.default_rng(0).standard_normal((4, 64))).astype(np.float32)
norm = flax.linen.LayerNorm()
from_flax = np.asarray(norm.apply(norm.init(jax.random.key(0), small), small))
default = np.abs(torch.nn.LayerNorm(64)(torch.from_numpy(small)).detach().numpy() - from_flax).max()
same = np.abs(torch.nn.LayerNorm(64, eps=1e-6)(torch.from_numpy(small)).detach().numpy()
              - from_flax).max()
print(f'LayerNorm of inputs of size 1e-3: {default:.1e} apart; {same:.1e} with eps=1e-6 in torch')
raise SystemExit(not (plain > 1e-4 and tanh < 1e-5 and default > 0.1 and same < 1e-4))
PYTHON

#!/usr/bin/env bash
# torch.load (2.13.0) of a checkpoint with the run's logged values, as mmengine's runner saves it.
#
# Guess: a checkpoint that one line of mmengine saved, one line of torch loads.
# Seen:
#   mmengine 0.10.7 torch 2.13.0+cpu
#   weights alone: loaded
#   weights and logged values: UnpicklingError, which names HistoryBuffer: True
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet mmengine==0.10.7 'setuptools<82' torch==2.13.0
cd "$scratch"
venv/bin/python -W ignore - <<'PYTHON'
import pickle

import mmengine
import torch
from mmengine.logging import MessageHub
from mmengine.runner import save_checkpoint
from torch import nn

print('mmengine', mmengine.__version__, 'torch', torch.__version__)
hub = MessageHub.get_instance('run')
hub.update_scalar('train/loss', 1.0)
weights = nn.Linear(2, 2).state_dict()
save_checkpoint(dict(state_dict=weights), 'weights.pth')
save_checkpoint(dict(state_dict=weights, message_hub=hub.state_dict()), 'run.pth')
torch.load('weights.pth')
print('weights alone: loaded')
try:
    torch.load('run.pth')
except pickle.UnpicklingError as error:
    named = 'mmengine.logging.history_buffer.HistoryBuffer' in str(error)
    print('weights and logged values: UnpicklingError, which names HistoryBuffer:', named)
    raise SystemExit(not named)
raise SystemExit('changed: the checkpoint loads')
PYTHON

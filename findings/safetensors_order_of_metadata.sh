#!/usr/bin/env bash
# safetensors 0.8.0 writes the same tensors and metadata several times.
#
# Guess: the files are equal to the last byte, as the tensors are sorted by type and name.
# Seen:
#   safetensors 0.8.0 numpy 2.4.6
#   no metadata: 1 different file in 20
#   1 key of metadata: 1 different file in 20
#   6 keys of metadata: 20 different files in 20
# Two files of six keys are equal only by chance: there are 720 orders.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet numpy==2.4.6 safetensors==0.8.0
cd "$scratch"
venv/bin/python - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

WEIGHTS = dict(weight=np.ones((2, 2), np.float32), bias=np.zeros(2, np.float32))
METADATA = dict(format='np', epoch='7', dataset='digits', seed='0', author='A', license='MIT')


def files(metadata):
    return [save(WEIGHTS, metadata) for _ in range(20)]


print('safetensors', safetensors.__version__, 'numpy', np.__version__)
without, one, six = files(None), files(dict(format='np')), files(METADATA)
for name, written in (('no metadata', without), ('1 key of metadata', one),
                      ('6 keys of metadata', six)):
    count = len(set(written))
    print(f'{name}: {count} different file{"s" * (count > 1)} in 20')
same_tensors = all(np.array_equal(load(file)[key], WEIGHTS[key]) for file in six for key in WEIGHTS)
as_described = (len(set(without)) == len(set(one)) == 1 and len(set(six)) > 1 and same_tensors
                and len({len(file) for file in six}) == 1)
raise SystemExit(not as_described)
PYTHON

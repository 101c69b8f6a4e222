#!/usr/bin/env bash
# Image.resize of Pillow 12.3.0 and 13.0.0.
#
# Guess: the same filter gives the same pixels in both releases.
# Seen:
#   Pillow 12.3.0 against 13.0.0, a 400 x 100 image (height x width):
#   tall_BICUBIC to 100 x 90: 25.6% of the values differ, by at most 7
#   tall_BILINEAR to 100 x 90: 20.2% of the values differ, by at most 1
#   wide_BICUBIC to 380 x 50: 0.0% of the values differ, by at most 0
#   wide_BILINEAR to 380 x 50: 0.0% of the values differ, by at most 0
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
for version in 12.3.0 13.0.0; do
    python3 -m venv "$version"
    "$version/bin/pip" install --quiet numpy==2.4.6 "pillow==$version"
    "$version/bin/python" - <<'PYTHON'
import numpy as np
import PIL
from PIL import Image

image = np.random.default_rng(0).integers(0, 256, (400, 100, 3), np.uint8)
filters = Image.Resampling
for name, size in {'tall': (90, 100), 'wide': (50, 380)}.items():
    for kind in (filters.BILINEAR, filters.BICUBIC):
        resized = np.asarray(Image.fromarray(image).resize(size, kind))
        np.save(f'{PIL.__version__}_{name}_{kind.name}.npy', resized)
PYTHON
done
13.0.0/bin/python - <<'PYTHON'
from pathlib import Path

import numpy as np

print('Pillow 12.3.0 against 13.0.0, a 400 x 100 image (height x width):')
shares = {}
for old in sorted(Path().glob('12.3.0_*.npy')):
    before = np.load(old).astype(int)
    after = np.load(old.name.replace('12.3.0', '13.0.0')).astype(int)
    name = old.stem.removeprefix('12.3.0_')
    shares[name] = np.mean(before != after)
    print(f'{name} to {before.shape[0]} x {before.shape[1]}: {shares[name]:.1%} of the values '
          f'differ, by at most {np.abs(before - after).max()}')
raise SystemExit(not (shares['tall_BILINEAR'] > 0.01 and shares['wide_BILINEAR'] == 0))
PYTHON

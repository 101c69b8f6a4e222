#!/usr/bin/env bash
# mmengine 0.10.7 beside setuptools 82.
#
# Guess: a package manager that accepts both releases accepts a pair that works.
# Seen:
#   mmengine 0.10.7 setuptools 82.0.1
#   mmengine declares that it needs setuptools: False
#   is_installed('numpy') raises ModuleNotFoundError: No module named 'pkg_resources'
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet mmengine==0.10.7 setuptools==82.0.1
cd "$scratch"
venv/bin/python - <<'PYTHON'
import importlib.metadata as metadata

from mmengine.utils import is_installed

print(*(f'{name} {metadata.version(name)}' for name in ('mmengine', 'setuptools')))
requires = metadata.requires('mmengine')
names_setuptools = any('setuptools' in line for line in requires)
print('mmengine declares that it needs setuptools:', names_setuptools)
try:
    print("is_installed('numpy') returns", is_installed('numpy'))
except ModuleNotFoundError as error:
    print("is_installed('numpy') raises ModuleNotFoundError:", error)
    raise SystemExit(names_setuptools or error.name != 'pkg_resources')
raise SystemExit('changed: is_installed works without pkg_resources')
PYTHON

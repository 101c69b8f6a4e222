#!/usr/bin/env bash
# `import MNN.tools`, the module behind the commands mnn, mnnconvert and mnnquant, in a fresh
# environment. A stand-in for pip notes how it is called.
#
# Guess: nothing is installed; a missing optional package is at most a warning.
# Seen:
#   MNN 3.6.1
#   import MNN: pip is not called
#   import MNN.tools: pip install -U aliyun-log-python-sdk
#   import _tools, the converter itself: pip is not called
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet MNN==3.6.1
mkdir "$scratch/stand-in"
printf '#!/bin/sh\necho "pip $*" >> "%s/calls"\n' "$scratch" > "$scratch/stand-in/pip"
chmod +x "$scratch/stand-in/pip"
cd "$scratch"
export PATH="$scratch/stand-in:$PATH"
calls_of() {
    : > calls
    venv/bin/python -c "$1" > /dev/null 2>&1
    sort -u calls
}
engine=$(calls_of 'import MNN')
tools=$(calls_of 'import MNN.tools')
converter=$(calls_of 'import _tools')
venv/bin/pip list 2> /dev/null | awk '$1 == "MNN" { print $1, $2 }'
echo "import MNN: ${engine:-pip is not called}"
echo "import MNN.tools: ${tools:-pip is not called}"
echo "import _tools, the converter itself: ${converter:-pip is not called}"
[ -z "$engine" ] && [ -z "$converter" ] && [ "$tools" = 'pip install -U aliyun-log-python-sdk' ]

#!/usr/bin/env bash
# Test on several processes of this machine, or of several machines.
#   tools/dist_test.sh CONFIG [CHECKPOINT] PROCESSES [options of tools/test.py]
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_test.sh CONFIG CKPT 8
set -euo pipefail
refuse() {
    echo "$1; usage: dist_test.sh CONFIG [CHECKPOINT] PROCESSES [options]" >&2
    exit 2
}
(($# > 1)) || refuse 'too few arguments'
what=("$1")
shift
# Without a CHECKPOINT, options or nothing follow the number.
if ! [[ $1 =~ ^[0-9]+$ && ($# == 1 || ${2-} == -*) ]]; then
    what+=("$1")
    shift
fi
processes=${1-}
[[ $processes =~ ^[1-9][0-9]*$ ]] || refuse "PROCESSES is '$processes', expected 1 or more"
exec python -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    --nproc_per_node "$processes" \
    "$(dirname "$0")/test.py" "${what[@]}" --launcher pytorch "${@:2}"

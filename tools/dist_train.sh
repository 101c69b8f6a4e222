#!/usr/bin/env bash
# Train on several processes of this machine, or of several machines.
#   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_train.sh CONFIG 8
set -euo pipefail
refuse() {
    echo "$1; usage: dist_train.sh CONFIG PROCESSES [options]" >&2
    exit 2
}
(($# > 1)) || refuse 'too few arguments'
config=$1 processes=$2
[[ $processes =~ ^[1-9][0-9]*$ ]] || refuse "PROCESSES is '$processes', expected 1 or more"
exec python -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    --nproc_per_node "$processes" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"

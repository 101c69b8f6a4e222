#!/usr/bin/env bash
# Test on several processes of this machine, or of several machines.
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_test.sh CONFIG CKPT 8
set -euo pipefail
config=${1:?usage: dist_test.sh CONFIG CHECKPOINT PROCESSES [options]}
checkpoint=${2:?usage: dist_test.sh CONFIG CHECKPOINT PROCESSES [options]}
processes=${3:?usage: dist_test.sh CONFIG CHECKPOINT PROCESSES [options]}
exec python -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    --nproc_per_node "$processes" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"

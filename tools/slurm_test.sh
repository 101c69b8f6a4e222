#!/usr/bin/env bash
# Test under Slurm; GPUS=0 for nodes without GPUs (then TASKS processes).
#   GPUS=8 tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [options of tools/test.py]
set -euo pipefail
usage='usage: slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [options]'
partition=${1:?$usage} job=${2:?$usage} config=${3:?$usage} checkpoint=${4:?$usage}
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
tasks=${TASKS:-$gpus}
gres=()
if ((gpus > 0)); then gres=(--gres "gpu:$per_node" --ntasks-per-node "$per_node"); fi
# SRUN_ARGS is not quoted on purpose: it holds several words.
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name "$job" "${gres[@]}" --ntasks "$tasks" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/test.py" "$config" "$checkpoint" \
    --launcher slurm "${@:5}"

#!/usr/bin/env bash
# Train under Slurm; GPUS=0 TASKS=N for N processes on nodes without GPUs.
#   GPUS=16 tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR [options of tools/train.py]
set -euo pipefail
refuse() {
    echo "$1; usage: slurm_train.sh PARTITION JOB CONFIG WORK_DIR [options]" >&2
    exit 2
}
(($# > 3)) || refuse 'too few arguments'
partition=$1 job=$2 config=$3 work_dir=$4
gpus=${GPUS:-8}
tasks=${TASKS:-$gpus}
[[ $gpus =~ ^[0-9]+$ ]] || refuse "GPUS is '$gpus', expected a number"
[[ $tasks =~ ^[1-9][0-9]*$ ]] || refuse "GPUS is $gpus and TASKS '${TASKS-}': without GPUs, set \
TASKS to the number of processes"
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
gres=()
if ((gpus > 0)); then gres=(--gres "gpu:$per_node" --ntasks-per-node "$per_node"); fi
# SRUN_ARGS is not quoted on purpose: it holds several words.
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name "$job" "${gres[@]}" --ntasks "$tasks" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$config" --work-dir "$work_dir" \
    --launcher slurm "${@:5}"

"""Start and leave the process group, with or without GPUs."""
import atexit
import datetime
import os
import subprocess
import sys
from typing import NoReturn

import torch
from mmengine.dist import init_dist, is_distributed

from mmconvmixer.errors import BadConfig


def start_process_group(launcher: str, dist_cfg: dict) -> None:
    """Join the group of processes that a launcher started.

    With a GPU this calls mmengine's `init_dist`. Without one `init_dist` fails (in
    `torch.cuda.set_device`), so the group is initialized here, with gloo.

    Args:
        launcher: 'none' (no group), 'pytorch' (torchrun), 'slurm' or 'mpi'.
        dist_cfg: `env_cfg.dist_cfg` of a config: backend (GPU only), timeout (seconds).

    Raises:
        BadConfig: the launcher's environment variables are not set.
    """
    if launcher == 'none' or is_distributed():
        return
    try:
        if torch.cuda.is_available():
            init_dist(launcher, **dist_cfg)
            return
        if launcher == 'slurm':
            _environ_from_slurm()
        elif launcher == 'mpi':
            _environ_from_mpi()
        timeout = dist_cfg.get('timeout')
        torch.distributed.init_process_group(
            'gloo', timeout=datetime.timedelta(seconds=timeout) if timeout else None)
    except (KeyError, ValueError) as error:
        if not isinstance(error, KeyError) and 'environment variable' not in str(error):
            raise
        raise BadConfig(f'launcher (--launcher) is {launcher}, but the environment lacks what '
                        f'it sets ({error}); start with tools/dist_*.sh, tools/slurm_*.sh '
                        'or torchrun, or leave it out') from error


def leave_process_group(after_error: bool = False) -> None:
    """Leave the process group, if there is one.

    NCCL waits for the other processes when a group is destroyed. After an error they may
    never come, so an NCCL group is then left as it is.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    if torch.distributed.get_backend() == 'gloo':
        _gloo_processes.append(os.getpid())
    elif after_error:
        return
    torch.distributed.destroy_process_group()


# Process ids that have left a gloo group (a forked child is not its parent).
_gloo_processes: list[int] = []


def end_process(exit_code: int) -> NoReturn:
    """End this process, which may have belonged to a process group, with an exit code.

    When a gloo thread frees a tensor, it takes the interpreter's lock, and it aborts the
    process if Python is shutting down: this ended 2 of 60 evaluations that had left the
    group and 6 of 50 that had not. A process of a gloo group therefore runs Python's exit
    functions here and then ends without the interpreter's shutdown.
    """
    if os.getpid() in _gloo_processes:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


def _environ_from_slurm() -> None:
    """Set torch's environment variables from Slurm's, as mmengine does on GPUs."""
    env = os.environ
    env['RANK'] = env['SLURM_PROCID']
    env['WORLD_SIZE'] = env['SLURM_NTASKS']
    env['LOCAL_RANK'] = env.get('SLURM_LOCALID', '0')
    if 'MASTER_ADDR' not in env:
        nodes = env['SLURM_NODELIST']
        try:
            hosts = subprocess.run(['scontrol', 'show', 'hostname', nodes],
                                   check=True, capture_output=True, text=True).stdout
            env['MASTER_ADDR'] = hosts.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError) as error:
            raise BadConfig(f'scontrol does not name the first host of {nodes} ({error}); set '
                            'MASTER_ADDR to it') from error
    env.setdefault('MASTER_PORT', '29500')


def _environ_from_mpi() -> None:
    """Set torch's environment variables from Open MPI's."""
    env = os.environ
    env['RANK'] = env['OMPI_COMM_WORLD_RANK']
    env['WORLD_SIZE'] = env['OMPI_COMM_WORLD_SIZE']
    env['LOCAL_RANK'] = env['OMPI_COMM_WORLD_LOCAL_RANK']
    env.setdefault('MASTER_ADDR', '127.0.0.1')
    env.setdefault('MASTER_PORT', '29500')

"""Starting the process group, with or without GPUs."""
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

    With a GPU this is mmengine's `init_dist`; that one dies without
    (`torch.cuda.set_device`), so a CPU's processes meet here, over gloo.

    Args:
        launcher: 'none' (nothing happens), 'pytorch' (torchrun), 'slurm', 'mpi'.
        dist_cfg: `env_cfg.dist_cfg` of a config: backend (GPU only), timeout
            in seconds.

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
        raise BadConfig(f'--launcher {launcher} was given, but the environment lacks what '
                        f'it sets ({error}); start with tools/dist_*.sh, tools/slurm_*.sh '
                        'or torchrun, or leave --launcher out') from error


def leave_process_group(after_error: bool = False) -> None:
    """Leave the group, if there is one.

    NCCL's end waits for the other processes, which after an error may not come:
    there the group is left alone.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    if torch.distributed.get_backend() == 'gloo':
        _of_gloo.append(os.getpid())
    elif after_error:
        return
    torch.distributed.destroy_process_group()


# Holds this process's number once it has left a group of gloo's.
_of_gloo: list[int] = []


def end_process(exit_code: int) -> NoReturn:
    """End this process, which may have been one of a group's, with an exit code.

    A thread of gloo's that lets go of a tensor asks for the interpreter, and
    aborts the process if Python is just being taken down: 2 of 60 evaluations
    ended so although they had left the group, 6 of 50 that had not. So Python's
    own last steps are taken here, and no others.
    """
    if os.getpid() in _of_gloo:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


def _environ_from_slurm() -> None:
    """Set torch's variables from Slurm's, as mmengine does on GPUs."""
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
            raise BadConfig(f'scontrol does not tell the first host of {nodes} ({error}); set '
                            'MASTER_ADDR to it') from error
    env.setdefault('MASTER_PORT', '29500')


def _environ_from_mpi() -> None:
    env = os.environ
    env['RANK'] = env['OMPI_COMM_WORLD_RANK']
    env['WORLD_SIZE'] = env['OMPI_COMM_WORLD_SIZE']
    env['LOCAL_RANK'] = env['OMPI_COMM_WORLD_LOCAL_RANK']
    env.setdefault('MASTER_ADDR', '127.0.0.1')
    env.setdefault('MASTER_PORT', '29500')

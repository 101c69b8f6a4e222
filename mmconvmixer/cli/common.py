"""What the tools share: exit codes, one-line errors, common options."""
import argparse
import os
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from mmengine.config import DictAction

from mmconvmixer.errors import BadImage, EmptyDataset, MMConvMixerError, OutputNotWritable

# Said at every start, by libraries, of things nobody here can change.
for _noise in ('Fail to import ``MultiScaleDeformable', 'pkg_resources is deprecated'):
    warnings.filterwarnings('ignore', message=_noise)


RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')


def exit_code(main: Callable[[], None]) -> int:
    """Run a tool; return 0, or 2 after printing a user's error in one line."""
    # Not above: it imports the libraries whose noise is filtered first.
    from mmconvmixer.engine.launch import leave_process_group
    try:
        main()
    except MMConvMixerError as error:
        # Most errors all processes meet alike, and one of them says it; these
        # can be a single process's own.
        rank = next((int(os.environ[name]) for name in RANKS if name in os.environ), 0)
        if rank == 0 or isinstance(error, BadImage | EmptyDataset | OutputNotWritable):
            who = f' (rank {rank})' if rank else ''
            print(f'error{who}: {" ".join(str(error).split())}', file=sys.stderr)
        leave_process_group(after_error=True)
        return 2
    leave_process_group()
    return 0


def end(code: int) -> NoReturn:
    """End a tool that may have been one of several processes."""
    from mmconvmixer.engine.launch import end_process
    end_process(code)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing both have."""
    parser.add_argument('--work-dir', help='folder for logs (and checkpoints, in training)')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--no-strict', dest='strict', action='store_false',
                        help='load what fits of a checkpoint for another network')
    parser.add_argument('--no-pin-memory', dest='pin_memory', action='store_false',
                        help='do not pin the memory of loaded batches')
    parser.add_argument('--cfg-options', dest='overrides', nargs='+', action=DictAction,
                        metavar='KEY=VALUE',
                        help='config keys to set, e.g. train_dataloader.batch_size=32; lists '
                        'as KEY="[a,b]"')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
                        default='none', help='who started the processes')
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)


def parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> dict:
    """Parse `argv` into keyword arguments."""
    try:
        args = vars(parser.parse_args(argv))
    except ValueError as error:  # mmengine's DictAction, of a word without '='
        parser.error(f'--cfg-options takes KEY=VALUE: {error}')
    if 'local_rank' in args:  # a tool that may be one of several processes
        os.environ.setdefault('LOCAL_RANK', str(args.pop('local_rank')))
    return args

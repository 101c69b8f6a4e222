"""What the commands share: exit codes, one-line errors, common options."""
import argparse
import gc
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import NoReturn

from mmconvmixer.errors import (
    BadImage,
    EmptyDataset,
    MMConvMixerError,
    OutOfResources,
    OutputNotWritable,
)

# Libraries warn of these at every start, and we cannot fix them.
for _noise in ('Fail to import ``MultiScaleDeformable', 'pkg_resources is deprecated'):
    warnings.filterwarnings('ignore', message=_noise)

# Errors that can occur in one of several processes only.
IN_ONE_PROCESS = (BadImage, EmptyDataset, OutOfResources, OutputNotWritable)
RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
# The names of dtypes that weights are saved in. (checkpoints.convert has the dtypes.)
DTYPES = ('float32', 'float16', 'bfloat16')


def run_command(doc: str, add_arguments: Callable[[argparse.ArgumentParser], None],
                run: Callable[..., int | None], argv: list[str] | None, prog: str) -> int:
    """Parse the arguments of a command, run it and return its exit code.

    Args:
        doc: the command's module docstring, which --help shows.
        add_arguments: adds the command's arguments to a parser.
        run: called with the arguments by name; imports what it needs.
        argv: the arguments; None for those of this process.
        prog: how the user started the command.
    """
    parser = argparse.ArgumentParser(prog=prog, description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    # Help lists the options below the usage line.
    short = argparse.HelpFormatter(prog)
    short.add_usage(None, [action for action in parser._actions
                           if action.required or not action.option_strings], [], prefix='')
    parser.usage = f'{short.format_help().strip()} [options]'
    options = parse(parser, argv)
    return exit_code(lambda: run(**options), 'strict' in options)


def exit_code(main: Callable[[], int | None], has_strict: bool = False) -> int:
    """Return a command's exit code (None is 0), or 2 after printing an error in one line.

    Args:
        main: runs the command.
        has_strict: the command has the option --no-strict, which messages may then name.
    """
    # Imported here: it imports torch, which parsing the arguments does not need.
    from mmconvmixer.engine.launch import leave_process_group
    _leave_imports_uncollected()
    try:
        code = main()
    except MMConvMixerError as error:
        # All processes usually meet the same error, and only the first one prints it.
        rank = next((int(os.environ[name]) for name in RANKS if name in os.environ), 0)
        if rank == 0 or isinstance(error, IN_ONE_PROCESS):
            who = f' (rank {rank})' if rank else ''
            text = str(error) if has_strict else getattr(error, 'without_option', str(error))
            print(f'error{who}: {" ".join(text.split())}', file=sys.stderr)
        leave_process_group(after_error=True)
        return 2
    except SystemExit as stopped:  # a signal stopped a training, in all processes alike
        if not isinstance(stopped.code, int):
            raise
        code = stopped.code
    leave_process_group()
    return code or 0


@cache
def _leave_imports_uncollected() -> None:
    """Exempt what was imported from garbage collections, once in a process.

    mmengine collects garbage whenever it builds a dataset. That took a quarter of a second
    each time, and an evaluation of the digits 6.9 seconds instead of 5.8.
    """
    gc.freeze()


def end_process(code: int) -> NoReturn:
    """End a process that may have been one of several."""
    from mmconvmixer.engine import launch
    launch.end_process(code)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing both have."""
    parser.add_argument('--work-dir', metavar='DIR',
                        help='folder for logs and, in training, checkpoints')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on a GPU, bfloat16 on a CPU that has it')
    parser.add_argument('--verbose', action='store_true',
                        help='print environment, config and hooks, too')
    parser.add_argument('--no-strict', dest='strict', action='store_false',
                        help='load what fits from a checkpoint of another network')
    parser.add_argument('--no-pin-memory', dest='pin_memory', action='store_false',
                        help='do not pin the memory of loaded batches')
    add_overrides(parser, 'config keys to set, e.g. train_dataloader.batch_size=32; '
                  'lists as KEY="[a,b]"')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
                        default='none', metavar='L', help='what started the processes: none '
                        '(default), pytorch, slurm, mpi')
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)


def add_overrides(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--cfg-options KEY=VALUE...`, which `parse` turns into a dict `overrides`."""
    parser.add_argument('--cfg-options', dest='overrides', nargs='+', action='extend',
                        metavar='KEY=VALUE', help=text)


def parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> dict:
    """Parse `argv` into keyword arguments."""
    args = parser.parse_args(argv)
    if getattr(args, 'overrides', None) is not None:
        # Only here: mmengine takes seconds to import, and --help should not wait for it.
        from mmengine.config import DictAction
        words, args.overrides = args.overrides, None
        try:
            DictAction([], 'overrides')(parser, args, words)
        except (ValueError, AssertionError) as error:  # a word without '=', open brackets
            parser.error(f'--cfg-options takes KEY=VALUE: {error}')
        except RecursionError:  # mmengine's parser does not know parentheses
            parser.error('--cfg-options takes numbers, words and lists of them, and no dict(...); '
                         'give each of its keys (default_hooks.ema.type=EMAHook), or write it '
                         'into a config')
    options = vars(args)
    if 'local_rank' in options:  # a command that may be one of several processes
        os.environ.setdefault('LOCAL_RANK', str(options.pop('local_rank')))
    return options

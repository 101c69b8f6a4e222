r"""Make a small file to share from a training checkpoint.

    %(prog)s work_dirs/RUN/epoch_25.pth weights convmixer-128-4_cifar10 \
        --dtype float16

Writes weights/convmixer-128-4_cifar10-<first 8 digits of its sha256>.pth with the
weights, what they were trained with, and what these very weights reach on the
test set; no optimizer, no log. `mmconvmixer verify` repeats the measurement.
"""
import argparse
from typing import Any

from mmconvmixer.cli.common import DTYPES, run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('checkpoint', help='checkpoint of a training run')
    parser.add_argument('folder', help='folder for the published file')
    parser.add_argument('name', help='model name, with which the file name begins')
    parser.add_argument('--dtype', default='float32', choices=DTYPES,
                        help='of the weights (default: float32)')
    parser.add_argument('--config', help="config of the test set (default: the run's)")
    parser.add_argument('--data', metavar='DIR',
                        help="folder of the test data (default: the config's)")


def run(**options: Any) -> None:
    """Publish, and print metrics and path; see `mmconvmixer.apis.publishing.publish`."""
    from mmconvmixer.apis.evaluation import as_text
    from mmconvmixer.apis.publishing import publish
    from mmconvmixer.checkpoints import read_checkpoint
    path = publish(**options)
    print(as_text(read_checkpoint(path)['meta']['published']['metrics']))
    print(f'{path}  {path.stat().st_size} bytes')


def main(argv: list[str] | None = None, prog: str = 'python tools/publish.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

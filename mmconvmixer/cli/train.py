"""Train a model.

    %(prog)s configs/convmixer/convmixer-64-4_digits.py
    %(prog)s CONFIG --resume            # continue where it stopped
    %(prog)s CONFIG --data DIR          # on your own images

On eight GPUs: tools/dist_train.sh CONFIG 8
"""
import argparse
from typing import Any

from mmconvmixer.cli.common import add_common_options, run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('config', help='path of a config, or name of a model')
    parser.add_argument('--data', metavar='DIR',
                        help='train on these images, one folder per class: DIR/train and '
                        'DIR/val if they exist, otherwise DIR with a tenth held out')
    parser.add_argument('--resume', nargs='?', const=True, default=False, metavar='CHECKPOINT',
                        help='continue from a checkpoint; without a path, from the one '
                        'that the run in the work dir saved last')
    parser.add_argument('--no-validate', dest='validate', action='store_false',
                        help='do not evaluate between epochs')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate by the actual total batch size')
    parser.add_argument('--no-persistent-workers', dest='persistent_workers',
                        action='store_false', help='start new loader processes every epoch')
    add_common_options(parser)


def run(**options: Any) -> None:
    """Train; see `mmconvmixer.apis.training.train`."""
    from mmconvmixer.apis.training import train
    train(**options)


def main(argv: list[str] | None = None, prog: str = 'python tools/train.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

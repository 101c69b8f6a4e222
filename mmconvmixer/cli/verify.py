"""Repeat the published evaluation of a checkpoint and compare.

    %(prog)s convmixer-128-4_cifar10 --data data/cifar10
    %(prog)s weights/convmixer-128-4_cifar10-1a2b3c4d.pth

Exit code 0: every figure is reproduced to 0.01 (the accuracy of a class to one
image, the calibration error to 0.05). 1: a figure is not, or the images are not
the published ones. 2: the evaluation was not possible.
"""
import argparse
from typing import TYPE_CHECKING, Any

from mmconvmixer.cli.common import run_command

if TYPE_CHECKING:
    from mmconvmixer.apis.verification import Verification


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('checkpoint', help='path, URL or model name')
    parser.add_argument('--data', metavar='DIR',
                        help="folder of the test data (default: the config's)")
    parser.add_argument('--config', help='config of the test set (default: the published one)')


def report(result: 'Verification') -> None:
    """Print published and measured figures side by side."""
    differing = result.differing()
    width = max(map(len, result.figures), default=6)
    print(f'{"metric":{width}}  published  measured')
    for name, (published, measured) in result.figures.items():
        print(f'{name:{width}}  {published:9.2f}  {measured:8.2f}'
              + ('  differs' if name in differing else ''))
    data = {None: 'not known', True: 'the published images',
            False: 'NOT the images of the published figures'}[result.same_data]
    print(f'test data: {data}')
    print(f'{len(differing)} of {len(result.figures)} figures differ')


def run(**options: Any) -> int:
    """Verify, report, and return 1 if anything differs."""
    from mmconvmixer.apis.verification import verify
    result = verify(**options)
    report(result)
    return int(bool(result.differing()) or result.same_data is False)


def main(argv: list[str] | None = None, prog: str = 'python tools/verify.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

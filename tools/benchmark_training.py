#!/usr/bin/env python
"""Time training steps fed by a config's data loader against steps on one fixed batch.

    python tools/benchmark_training.py configs/convmixer/convmixer-128-4_cifar10.py

Both train the same network in turn, so that other load on the machine hits both alike.
The ratio is the cost of reading and augmenting.
"""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mmconvmixer.cli.checkout import load_benchmark
from mmconvmixer.cli.common import exit_code


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog=f'python tools/{Path(__file__).name}',
                                     description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or name of a model')
    parser.add_argument('--rounds', type=int, default=15, help='timings of each')
    parser.add_argument('--steps', type=int, default=10, help='training steps in a timing')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit code."""
    args = parse_args(argv)
    return exit_code(lambda: print(load_benchmark('training', __file__).compare(**vars(args))))


if __name__ == '__main__':
    raise SystemExit(main())

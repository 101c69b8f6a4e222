#!/usr/bin/env python
"""Time training steps with sharpness-aware minimization against plain ones.

    python tools/benchmark_sam.py configs/convmixer/convmixer-64-4_digits.py --batch-size 64

Both train the same network on the same random images with AdamW. Their steps take
turns, so that other load on the machine hits both alike.
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
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--steps', type=int, default=30, help='of each, after three to warm up')
    parser.add_argument('--adaptive', action='store_true', help='ASAM')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit code."""
    args = parse_args(argv)
    return exit_code(lambda: print(load_benchmark('sam', __file__).compare(**vars(args))))


if __name__ == '__main__':
    raise SystemExit(main())

#!/usr/bin/env python
"""Time a config's test pipeline, from JPEG files to normalized batches, against mmpretrain's.

    python tools/benchmark_pipeline.py IMAGES

The tool first checks that both pipelines make the same inputs. Then they take turns, so
that other load on the machine hits both alike. Stages are timed in one thread by its
processor time, which other programs change little; several threads by the wall clock.
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
    parser.add_argument('folder', type=Path, help='folder of images')
    parser.add_argument('--config', default='convmixer-768-32_3rdparty_in1k',
                        help='path of a config, or name of a model (default: %(default)s)')
    parser.add_argument('--images', type=int,
                        help='how many, evenly spaced (default: all)')
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=9, help='timings of each')
    parser.add_argument('--threads', type=int, default=2)
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Compare the pipelines and print each line as soon as it is measured."""
    for line in load_benchmark('pipeline', __file__).compare(**vars(args)):
        print(line)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit code."""
    args = parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == '__main__':
    raise SystemExit(main())

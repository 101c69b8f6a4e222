#!/usr/bin/env python
"""Time a network through this package's runtimes and through its peers, in one run.

    python tools/benchmark.py convmixer-768-32_3rdparty_in1k --batch-size 1 8
    python tools/benchmark.py CONFIG --backends torch openvino --precisions int8 --json figures.json
    python tools/benchmark.py CONFIG --train --batch-size 64

Each row runs in its own process with the same number of pinned threads and the same
weights. Its outputs are compared with the first row's, then all rows are timed in turn.
Times and ratios (to the first row) are medians over the rounds. Weights are random
unless --checkpoint is given.
"""
import argparse
import json
import os
from collections.abc import Sequence

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.cli.checkout import load_benchmark
from mmconvmixer.cli.common import exit_code


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('--backends', nargs='*',
                        help='torch, compile, onnxruntime, openvino (default: all installed)')
    parser.add_argument('--precisions', nargs='+', default=['float32', 'bfloat16'],
                        help='float32, bfloat16, int8 (default: the first two)')
    parser.add_argument('--peers', nargs='*',
                        help='mmpretrain, timm (default: those that are installed)')
    parser.add_argument('--batch-size', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--image-size', type=int, metavar='N')
    parser.add_argument('--checkpoint', help='path, URL or name of weights')
    parser.add_argument('--calib', metavar='DIR', help='images for int8 (default: pieces of '
                        "scikit-learn's two photographs)")
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--train', action='store_true', help='time training steps')
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)) if hasattr(
        os, 'sched_getaffinity') else os.cpu_count())
    parser.add_argument('--rounds', type=int, default=9, help='turns of each row')
    parser.add_argument('--json', metavar='F', help='file for all figures')
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Measure, print the table, and write the figures."""
    text, figures = load_benchmark(__file__, 'runtimes').compare(
        args.model, rounds=args.rounds, backends=args.backends, precisions=args.precisions,
        peers=args.peers, batch_sizes=args.batch_size, image_size=args.image_size,
        checkpoint=args.checkpoint, calib=args.calib, device=args.device, train=args.train,
        threads=args.threads)
    print(text)
    if args.json:
        with atomic_write(args.json) as part:
            part.write_text(json.dumps(figures, indent=2) + '\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit code."""
    args = parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == '__main__':
    raise SystemExit(main())

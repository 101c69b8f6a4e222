#!/usr/bin/env python
"""Time a network through this package's runtimes and through its peers, in one run.

    python tools/benchmark.py convmixer-768-32_3rdparty_in1k --batch-size 1 8
    python tools/benchmark.py CONFIG --backends torch openvino --precisions int8 --json figures.json
    python tools/benchmark.py CONFIG --train --batch-size 64

Each row has a process of its own with the same pinned threads, holds the same weights,
is first compared with the others, and then timed in turn with them. Ratios are to the
first row, medians over the rounds. Weights are random unless --checkpoint is given.
"""
import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

# The folder benchmarks/ is part of the checkout, not of the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmconvmixer.cli.common import exit_code


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('--backends', nargs='*',
                        help='torch, compile, onnxruntime, openvino (default: all installed)')
    parser.add_argument('--precisions', nargs='+', default=['float32', 'bfloat16'],
                        help='float32, bfloat16, int8 (default: the first two)')
    parser.add_argument('--peers', nargs='*',
                        help='mmpretrain, timm (default: both, as far as they are installed)')
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
    from benchmarks.in_turn import machine, measure, processor_name, table
    from benchmarks.plans import make_plans, matrix_peak
    from mmconvmixer._support.atomic_write import atomic_write
    with tempfile.TemporaryDirectory() as folder:
        plans, batches, flops = make_plans(
            args.model, Path(folder), backends=args.backends, precisions=args.precisions,
            peers=args.peers, batch_sizes=args.batch_size, image_size=args.image_size,
            checkpoint=args.checkpoint, calib=args.calib, device=args.device, train=args.train,
            threads=args.threads)
        measured = measure(plans, batches, args.rounds)
    print(f'\n{args.model}, {"training steps, " if args.train else ""}'
          f'{machine(args.threads, args.device)}\n')
    print(table(measured, args.train))
    peaks = {}
    if not args.train and args.device == 'cpu':
        print()
        for precision in args.precisions:
            if precision != 'int8':
                peaks[precision] = matrix_peak(precision, args.threads)
                print(f'{precision} matrix products alone reach {peaks[precision] / 1e9:.0f} '
                      f'GFLOP/s here; the network has {flops / 1e9:.1f} GFLOP an image: at most '
                      f'{peaks[precision] / flops:.1f} img/s')
    if args.json:
        figures = dict(model=args.model, machine=processor_name(), threads=args.threads,
                       device=args.device, train=args.train, rounds=args.rounds, flops=flops,
                       matrix_peaks=peaks, rows=[row.as_dict() for row in measured])
        with atomic_write(args.json) as part:
            part.write_text(json.dumps(figures, indent=2) + '\n')


def main(argv=None) -> int:
    args = parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == '__main__':
    raise SystemExit(main())

"""Time a network in this package's runtimes and in other libraries, in one run.

    %(prog)s convmixer-768-32_3rdparty_in1k --batch-size 1 8
    %(prog)s CONFIG --backends torch openvino --json figures.json
    %(prog)s CONFIG --train --batch-size 64

Each row has its own process with the same pinned threads and the same weights. Its
answers are compared first, then the rows take turns. Ratios are to the first row,
medians over the rounds. Weights are random unless --checkpoint is given.
"""
import argparse
import json
import os

from mmconvmixer.cli.checkout import load_benchmark
from mmconvmixer.cli.common import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('--backends', nargs='*', metavar='B',
                        help='torch, compile, onnxruntime, openvino, litert (default: all '
                        'installed)')
    parser.add_argument('--precisions', nargs='+', default=['float32', 'bfloat16'], metavar='P',
                        help='float32, bfloat16, int8 (default: the first two)')
    parser.add_argument('--peers', nargs='*', metavar='P',
                        help='mmpretrain, timm (default: those installed)')
    parser.add_argument('--batch-size', type=int, nargs='+', default=[1, 8], metavar='N',
                        help='images per batch (default: 1 8)')
    parser.add_argument('--image-size', type=int, metavar='N',
                        help="height and width of the images (default: the config's)")
    parser.add_argument('--checkpoint', help='path, URL or name of weights')
    parser.add_argument('--calib', metavar='DIR', help='images for int8 (default: crops of '
                        "scikit-learn's two photographs)")
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'],
                        help='where to run (default: cpu)')
    parser.add_argument('--train', action='store_true', help='time training steps')
    parser.add_argument('--threads', type=int, metavar='N',
                        default=len(os.sched_getaffinity(0)) if hasattr(
                            os, 'sched_getaffinity') else os.cpu_count(),
                        help='CPU threads of a row (default: all cores)')
    parser.add_argument('--rounds', type=int, default=9, metavar='N',
                        help='turns of each row (default: 9)')
    parser.add_argument('--json', dest='figures', metavar='FILE', help='file for all figures')


def run(model: str, backends: list[str] | None, precisions: list[str], peers: list[str] | None,
        batch_size: list[int], image_size: int | None, checkpoint: str | None,
        calib: str | None, device: str, train: bool, threads: int, rounds: int,
        figures: str | None) -> None:
    """Build the rows, time them, and print a table."""
    from mmconvmixer._support.atomic_write import atomic_write
    text, measured = load_benchmark('runtimes').compare(
        model, rounds=rounds, backends=backends, precisions=precisions, peers=peers,
        batch_sizes=batch_size, image_size=image_size, checkpoint=checkpoint, calib=calib,
        device=device, train=train, threads=threads)
    print(text)
    if figures:
        with atomic_write(figures) as part:
            part.write_text(json.dumps(measured, indent=2) + '\n')


def main(argv: list[str] | None = None, prog: str = 'python tools/benchmark.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

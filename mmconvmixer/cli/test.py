"""Evaluate a model.

    %(prog)s configs/convmixer/convmixer-64-4_digits.py
    %(prog)s CONFIG CHECKPOINT --out predictions.json

On eight GPUs: tools/dist_test.sh CONFIG CHECKPOINT 8
"""
import argparse
from typing import Any

from mmconvmixer.cli.common import add_common_options, run_command
from mmconvmixer.errors import BadConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('config', help='path of a config, or name of a model')
    parser.add_argument('checkpoint', nargs='?',
                        help="path, URL or model name (default: the zoo's weights)")
    parser.add_argument('--data', metavar='DIR',
                        help='test on these images, one folder per class: DIR/test, DIR/val, '
                        'or the tenth of DIR that training holds out')
    parser.add_argument('--out', metavar='FILE',
                        help='file for the results: .json, .pkl; metrics also .yml')
    parser.add_argument('--out-item', choices=['metrics', 'pred'], metavar='ITEM',
                        help='what --out holds: metrics or pred (default: pred)')
    parser.add_argument('--show-dir', metavar='DIR', help='folder for images with predictions')
    parser.add_argument('--show', action='store_true', help='show them in a window')
    parser.add_argument('--interval', type=int, default=1, metavar='N',
                        help='show or save every Nth image (default: 1)')
    parser.add_argument('--wait-time', type=float, default=2, metavar='S',
                        help='seconds for each window (default: 2)')
    parser.add_argument('--tta', action='store_true',
                        help="average an image and its mirror image, or the config's "
                        'tta_pipeline')
    parser.add_argument('--backend', metavar='NAME',
                        help='torch, compile, onnxruntime, openvino, litert, or auto for the '
                        'fastest (default: the model itself)')
    parser.add_argument('--precision', default='float32', metavar='P',
                        help='of a backend: float32 (default), bfloat16, int8')
    parser.add_argument('--calib', metavar='DIR', help='real images for --precision int8')
    add_common_options(parser)


def run(out_item: str | None, **options: Any) -> None:
    """Evaluate and print the metrics; see `mmconvmixer.apis.evaluation.evaluate`."""
    from mmengine.dist import is_main_process

    from mmconvmixer.apis.evaluation import as_text, evaluate
    if out_item and not options['out']:
        raise BadConfig('--out-item says what to write, but not where: add --out FILE')
    metrics = evaluate(out_item=out_item or 'pred', **options)
    if is_main_process():
        print(as_text(metrics))


def main(argv: list[str] | None = None, prog: str = 'python tools/test.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

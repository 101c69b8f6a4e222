#!/usr/bin/env python
"""Evaluate a model.

    python tools/test.py configs/convmixer/convmixer-64-4_digits.py
    python tools/test.py CONFIG CHECKPOINT --out predictions.json --show-dir images
    tools/dist_test.sh CONFIG CHECKPOINT 8           # on eight GPUs
"""
import argparse

from mmengine.dist import is_main_process

from mmconvmixer.apis.evaluation import as_text, evaluate
from mmconvmixer.cli.common import add_common_options, end, exit_code, parse
from mmconvmixer.errors import BadConfig


def parse_args(argv=None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or name of a model')
    parser.add_argument('checkpoint', nargs='?',
                        help='path, http(s) URL or model name; left out, the weights that the '
                        'zoo has for this config')
    parser.add_argument('--data', metavar='DIR',
                        help='test on these images instead, one folder a class: DIR/test, else '
                        'DIR/val, else the tenth of each class that training leaves out')
    parser.add_argument('--out', help='file for the results: .json, .pkl, metrics also .yml')
    parser.add_argument('--out-item', choices=['metrics', 'pred'],
                        help='what --out holds (default: pred)')
    parser.add_argument('--show-dir', help='folder for images with their predictions')
    parser.add_argument('--show', action='store_true', help='show them in a window')
    parser.add_argument('--interval', type=int, default=1, help='image every so many samples')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds for each window')
    parser.add_argument('--tta', action='store_true',
                        help='average over an image and its mirror image, or what the config '
                        'says (tta_model, tta_pipeline)')
    parser.add_argument('--backend',
                        help='what computes: torch, compile, onnxruntime, openvino, or auto for '
                        'the fastest (default: the model as in training)')
    parser.add_argument('--precision', default='float32',
                        help='of a backend: float32 (default), bfloat16, int8')
    parser.add_argument('--calib', metavar='DIR',
                        help='folder of real images, for --precision int8')
    add_common_options(parser)
    return parse(parser, argv)


def run(out_item: str | None, **options) -> None:
    if out_item and not options['out']:
        raise BadConfig('--out-item says what to write, but not where: add --out FILE')
    metrics = evaluate(out_item=out_item or 'pred', **options)
    if is_main_process():
        print(as_text(metrics))


def main(argv=None) -> int:
    return exit_code(lambda: run(**parse_args(argv)))


if __name__ == '__main__':
    end(main())

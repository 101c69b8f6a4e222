#!/usr/bin/env python
"""Write a classifier in int8, calibrated on real images, and measure what that costs.

    python tools/quantize.py convmixer-128-4_cifar10 --format openvino \\
        --out cifar10_int8.xml --calib data/cifar10/train

prints top-1 on the config's test set before and after, and writes beside the file
a JSON of the same name and .json. `--max-drop 0.2` keeps layers in floating point
until top-1 falls by no more than 0.2 points.
"""
import argparse

from mmengine.config import DictAction

from mmconvmixer import get_model
from mmconvmixer.cli.common import exit_code, parse
from mmconvmixer.deploy.quantization import INT8_FORMATS, quantize
from mmconvmixer.zoo.config import load_config


def parse_args(argv=None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('--format', required=True, help=' or '.join(INT8_FORMATS))
    parser.add_argument('--out', required=True, help='the file: .xml (and .bin) or .onnx')
    parser.add_argument('--calib', required=True, metavar='DIR',
                        help='folder of real images, with those in folders below')
    parser.add_argument('--count', type=int, default=300,
                        help='how many of them, at even distances (default: 300)')
    parser.add_argument('--checkpoint', help='path, http(s) URL or model name; left out, the '
                        'weights that the zoo has for this model')
    parser.add_argument('--max-drop', type=float, metavar='POINTS',
                        help='of top-1: keep layers in floating point until it fits')
    parser.add_argument('--no-evaluate', dest='evaluate', action='store_false',
                        help='do not measure top-1: for machines without the test set')
    parser.add_argument('--cfg-options', dest='overrides', nargs='+', action=DictAction,
                        metavar='KEY=VALUE', help='config keys to set, e.g. '
                        'test_dataloader.dataset.data_root=/path')
    return parse(parser, argv)


def run(model: str, checkpoint: str | None, overrides: dict | None, out: str, **options) -> None:
    built = get_model(load_config(model, overrides), pretrained=checkpoint or True)
    record = quantize(built, out=out, **options)
    if record['top1']:
        before, after = record['top1']['before'], record['top1']['after']
        print(f'top-1 before {before:.2f}  after {after:.2f}  drop {before - after:.2f}')
    if record['kept_in_float']:
        print(f'in floating point: {", ".join(record["kept_in_float"])}')
    print(f'wrote {out}, calibrated on {record["calibration"]["images"]} images')


def main(argv=None) -> int:
    return exit_code(lambda: run(**parse_args(argv)))


if __name__ == '__main__':
    raise SystemExit(main())

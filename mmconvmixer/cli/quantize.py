r"""Write a classifier in int8, calibrated on real images, and measure what that costs.

    %(prog)s convmixer-128-4_cifar10 --format openvino \
        --out cifar10_int8.xml --calib data/cifar10/train

Prints top-1 on the config's test set before and after, and writes OUT.json with
the details. `--max-drop 0.2` keeps layers in floating point until top-1 drops by
no more than 0.2 points.
"""
import argparse
from typing import Any

from mmconvmixer.cli.common import add_overrides, run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('--format', required=True, help='openvino or onnx')
    parser.add_argument('--out', required=True, help='file to write: .xml (and .bin) or .onnx')
    parser.add_argument('--calib', required=True, metavar='DIR',
                        help='folder of real images, also in folders below it')
    parser.add_argument('--count', type=int, default=300, metavar='N',
                        help='how many of them to use, evenly spaced (default: 300)')
    parser.add_argument('--checkpoint',
                        help="path, URL or model name (default: the zoo's weights)")
    parser.add_argument('--max-drop', type=float, metavar='POINTS',
                        help='keep layers in floating point until top-1 drops by at most this')
    parser.add_argument('--no-evaluate', dest='evaluate', action='store_false',
                        help='do not measure top-1, for machines without the test set')
    add_overrides(parser, 'config keys to set, e.g. test_dataloader.dataset.data_root=/path')


def run(model: str, checkpoint: str | None, overrides: dict | None, out: str,
        **options: Any) -> None:
    """Quantize and print the accuracies; see `mmconvmixer.deploy.quantization.quantize`."""
    from mmconvmixer.deploy.quantization import quantize
    from mmconvmixer.zoo import get_model, load_config
    built = get_model(load_config(model, overrides), True if checkpoint is None else checkpoint)
    record = quantize(built, out=out, **options)
    if record['top1']:
        before, after = record['top1']['before'], record['top1']['after']
        print(f'top-1 before {before:.2f}  after {after:.2f}  drop {before - after:.2f}')
    if record['kept_in_float']:
        print(f'in floating point: {", ".join(record["kept_in_float"])}')
    print(f'wrote {out}, calibrated on {record["calibration"]["images"]} images')


def main(argv: list[str] | None = None, prog: str = 'python tools/quantize.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

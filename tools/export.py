#!/usr/bin/env python
"""Write a network for another runtime, and check that it says the same there.

    python tools/export.py convmixer-768-32_3rdparty_in1k --format onnx --out convmixer.onnx
    python tools/export.py CONFIG --checkpoint CKPT --format openvino --out net.xml --self-contained
"""
import argparse

from mmconvmixer.cli.common import exit_code


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('--format', required=True,
                        help='onnx, openvino, torch, savedmodel or litert')
    parser.add_argument('--out', required=True,
                        help='file (.onnx, .xml, .pt2, .tflite) or, for savedmodel, folder; what '
                        'it holds is written beside it, as OUT.json')
    parser.add_argument('--checkpoint',
                        help='path, URL or name of weights; left out, the published ones of a '
                        'name, random ones for a config')
    parser.add_argument('--features', action='store_true',
                        help='pooled features instead of logits')
    parser.add_argument('--dynamic-batch', action=argparse.BooleanOptionalAction,
                        help='any number of images at a time, or one (default: any, but for '
                        'openvino and litert)')
    parser.add_argument('--image-size', type=int, metavar='N',
                        help='height and width of the images (default: the config\'s)')
    parser.add_argument('--dtype', default='float32', help='of the weights: float32 (default), '
                        'float16, bfloat16; not every format has all; litert also has int8')
    parser.add_argument('--calib', metavar='DIR', help='folder of real images, for int8')
    parser.add_argument('--self-contained', action='store_true',
                        help='onnx and openvino: raw uint8 image in, names of the best classes '
                        'out')
    parser.add_argument('--topk', type=int, default=5, help='how many a self-contained file names')
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    from mmconvmixer.deploy import export
    record = export(**vars(args))
    check = record['check']
    if args.self_contained:
        difference = ('logarithms of scores differ from PyTorch by '
                      f'{check["mean_log_score_difference"]:.3g}')
    else:
        difference = f'max difference to PyTorch {check["max_difference"]:.3g}'
    agreement = (f', top-1 agreement {check["top1_agreement"]:.0%}'
                 if 'top1_agreement' in check else '')
    print(f'wrote {args.out} ({record["weights"]} weights); {difference} over '
          f'{check["images"]} images{agreement}')


def main(argv=None) -> int:
    args = parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == '__main__':
    raise SystemExit(main())

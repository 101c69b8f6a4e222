"""Write a network for another runtime, and check that its answers are the same there.

    %(prog)s convmixer-768-32_3rdparty_in1k --format onnx --out convmixer.onnx
    %(prog)s CONFIG --checkpoint CKPT --format openvino --out net.xml

OUT.json, beside the file, says what the file holds.
"""
import argparse
from typing import Any

from mmconvmixer.cli.common import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('--format', required=True,
                        help='onnx, openvino, torch, savedmodel, litert, executorch, coreml, ncnn, '
                        'mnn or web')
    parser.add_argument('--out', required=True,
                        help="file with the format's suffix (.onnx, .xml, .pt2, .tflite, .pte, "
                        '.param, .mnn) or folder (savedmodel, web; coreml: .mlpackage)')
    parser.add_argument('--checkpoint', help='path, URL or name of weights (default: the '
                        'published ones of a name, random ones for a config)')
    parser.add_argument('--features', action='store_true',
                        help='pooled features instead of logits')
    parser.add_argument('--dynamic-batch', action=argparse.BooleanOptionalAction,
                        help='any number of images at a time, or one (default: any in onnx, '
                        'torch, savedmodel and mnn)')
    parser.add_argument('--image-size', type=int, metavar='N',
                        help="height and width of the images (default: the config's)")
    parser.add_argument('--dtype', default='float32',
                        help='of the weights: float32 (default), float16, bfloat16, int8; not '
                        'every format has all of them')
    parser.add_argument('--calib', metavar='DIR', help='folder of real images, for int8')
    parser.add_argument('--self-contained', action='store_true',
                        help='onnx and openvino: from a raw uint8 image to the names of the best '
                        'classes')
    parser.add_argument('--fold-normalization', action='store_true',
                        help='the file takes pixels, 0 to 255, not normalized images')
    parser.add_argument('--topk', type=int, default=5, metavar='N',
                        help='how many classes a self-contained file names (default: 5)')
    parser.add_argument('--runtime', metavar='DIR', help='web: folder of an unpacked '
                        'onnxruntime-web (default: npm downloads it)')


def run(out: str, self_contained: bool, **options: Any) -> None:
    """Export and print how the answers compare; see `mmconvmixer.deploy.export`."""
    from mmconvmixer.deploy import export
    record = export(out=out, self_contained=self_contained, **options)
    check = record['check']
    if 'mean_log_score_difference' in check:
        difference = ('logarithms of scores differ from PyTorch by '
                      f'{check["mean_log_score_difference"]:.3g}')
    else:
        difference = f'max difference to PyTorch {check["max_difference"]:.3g}'
    agreement = (f', top-1 agreement {check["top1_agreement"]:.0%}'
                 if 'top1_agreement' in check else '')
    computed_by = f' (computed by {check["computed_by"]})' if 'computed_by' in check else ''
    print(f'wrote {out} ({record["weights"]} weights); {difference} over '
          f'{check["images"]} images{agreement}{computed_by}')


def main(argv: list[str] | None = None, prog: str = 'python tools/export.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

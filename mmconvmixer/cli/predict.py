"""Print the classes of images.

    %(prog)s convmixer-768-32_3rdparty_in1k image.jpg --topk 5
    %(prog)s CONFIG folder --backend auto --device cpu

Prints a line per image. Exit code 2: an image could not be read.
"""
import argparse
import os
import sys

from mmconvmixer.cli.common import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('model', help='name of a model, or path of a config')
    parser.add_argument('images', nargs='+', metavar='IMAGE',
                        help='path or URL of an image, or a folder of images')
    parser.add_argument('--topk', type=int, default=1, metavar='N',
                        help='classes per image, the most likely first (default: 1)')
    parser.add_argument('--device', metavar='D', help='such as cpu or cuda:0 (default: cpu)')
    parser.add_argument('--backend', metavar='B',
                        help='runtime: torch, compile, onnxruntime, openvino, litert, or auto for '
                        'the fastest (default: the model as in training)')
    parser.add_argument('--allow-private-urls', action='store_true',
                        help='let URLs lead to this machine and to private networks')


def run(model: str, images: list[str], topk: int, device: str | None,
        backend: str | None, allow_private_urls: bool) -> int:
    """Print a line per image, and return 2 if one of them can't be read."""
    from mmconvmixer.apis import Predictor
    from mmconvmixer.datasets.image_files import escaped
    from mmconvmixer.datasets.image_input import images_in
    from mmconvmixer.errors import UnknownOption
    if topk < 1:
        raise UnknownOption(f'--topk is {topk}, expected 1 or more')
    # Before the model is built, which takes longer than to see a mistyped folder.
    paths = [path for image in images
             for path in (images_in(image) if os.path.isdir(image) else [image])]
    code = 0
    predictor = Predictor(model, device=device, backend=backend,
                          allow_private_urls=allow_private_urls)
    for path, answer in zip(paths, predictor.stream(paths, topk), strict=True):
        if 'error' in answer:
            code = 2
            print(f'error: {" ".join(answer["error"].split())}', file=sys.stderr)
        else:
            print(f'{escaped(path)}: ' + ', '.join(
                f'{best.get("pred_class", best["pred_label"])} {best["pred_score"]:.4f}'
                for best in answer['pred_topk']))
    return code


def main(argv: list[str] | None = None, prog: str = 'mmconvmixer predict') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

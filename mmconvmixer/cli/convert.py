"""Convert a weight file of any library into another library's.

    %(prog)s convmixer_768_32.pth.tar weights/convmixer-768-32.pth
    %(prog)s Mixer-B_16.npz mixer_b16.safetensors --to timm
    %(prog)s SRC DST --to official --dtype float16

File format, library and architecture are recognized from SRC; no config is
needed. The default is a file for mmpretrain and this project, whose name gets the
first 8 digits of its sha256.
"""
import argparse
from typing import TYPE_CHECKING, Any

from mmconvmixer.cli.common import DTYPES, run_command

if TYPE_CHECKING:
    from mmconvmixer.checkpoints.convert import Converted

# Copies of checkpoints.convert's, which imports torch.
FORMATS = ('mmpretrain', 'timm', 'official', 'flax', 'safetensors')
ACTS = ('GELU', 'ReLU')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('source', metavar='SRC', help='path, URL or model name')
    parser.add_argument('target', metavar='DST',
                        help='file to write; .safetensors and .npz are written in that format')
    parser.add_argument('--to', default='mmpretrain', choices=FORMATS,
                        help='whose names the weights get (default: mmpretrain)')
    parser.add_argument('--dtype', choices=DTYPES, help="of the weights (default: SRC's)")
    parser.add_argument('--ema', action=argparse.BooleanOptionalAction,
                        help='take the weights averaged over training, or the plain ones '
                        '(default: the averaged ones if there are any)')
    parser.add_argument('--strip-head', action='store_true', help='leave the classifier out')
    parser.add_argument('--act', choices=ACTS,
                        help='the activation, where the weights do not tell it')


def as_text(converted: 'Converted') -> str:
    """Return what was found in the file, and below it where the new one is."""
    average = ', averaged weights' if converted.averaged else ''
    return (f'found: {converted.shape}; {converted.layout} names{average}; {converted.act} (from '
            f'{converted.act_from})\n{converted.path}')


def run(source: str, **options: Any) -> None:
    """Convert and print what was found; see `mmconvmixer.checkpoints.convert.convert`."""
    from mmconvmixer.checkpoints.convert import convert
    from mmconvmixer.zoo import resolve_checkpoint
    print(as_text(convert(resolve_checkpoint(source), **options)))


def main(argv: list[str] | None = None, prog: str = 'python tools/convert_checkpoint.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

#!/usr/bin/env python
"""Turn a weight file of any library into another's.

    python tools/convert_checkpoint.py convmixer_768_32.pth.tar weights/convmixer-768-32.pth
    python tools/convert_checkpoint.py Mixer-B_16.npz mixer_b16.safetensors --to timm
    python tools/convert_checkpoint.py SRC DST --to official --dtype float16

The kind of file, the library and the architecture are read off SRC; no config
is needed. The default is a file for mmpretrain and this project, whose name
ends in the first 8 of its sha256.
"""
import argparse
import sys

from mmconvmixer.checkpoints.convert import ACTS, DTYPES, FORMATS, Converted, convert
from mmconvmixer.cli.common import exit_code
from mmconvmixer.zoo import resolve_checkpoint


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='SRC', help='path, http(s) URL or model name')
    parser.add_argument('target', metavar='DST', help='file to write; .safetensors and .npz are '
                        'written as such')
    parser.add_argument('--to', default='mmpretrain', choices=FORMATS, help='whose names')
    parser.add_argument('--dtype', choices=DTYPES, help='of the weights; default: as they are')
    parser.add_argument('--ema', action=argparse.BooleanOptionalAction,
                        help='the average over the training, or not; default: where there is one')
    parser.add_argument('--strip-head', action='store_true', help='leave the classifier out')
    parser.add_argument('--act', choices=ACTS, help='the activation, which no tensor tells')
    return parser.parse_args(argv)


def as_text(converted: Converted) -> str:
    average = ', averaged weights' if converted.averaged else ''
    return (f'found: {converted.shape}; {converted.layout} names{average}; {converted.act} (from '
            f'{converted.act_from})\n{converted.path}')


def run(source: str, **options) -> None:
    print(as_text(convert(resolve_checkpoint(source), **options)))


def main(argv=None) -> int:
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    sys.exit(main())

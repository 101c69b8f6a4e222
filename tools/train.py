#!/usr/bin/env python
"""Train a model.

    python tools/train.py configs/convmixer/convmixer-64-4_digits.py
    python tools/train.py CONFIG --resume            # go on where it stopped
    python tools/train.py CONFIG --data DIR          # on your own images
    tools/dist_train.sh CONFIG 8                     # on eight GPUs
"""
import argparse

from mmconvmixer.apis.training import train
from mmconvmixer.cli.common import add_common_options, end, exit_code, parse


def parse_args(argv=None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or name of a model')
    parser.add_argument('--data', metavar='DIR',
                        help='train on these images instead, one folder a class; with DIR/train '
                        'and DIR/val if they are there, else a tenth is held out')
    parser.add_argument('--resume', nargs='?', const=True, default=False, metavar='CHECKPOINT',
                        help='go on from a checkpoint; without a path, from the newest complete '
                        'one in the work dir')
    parser.add_argument('--no-validate', dest='validate', action='store_false',
                        help='do not evaluate between epochs')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate by the actual total batch size')
    parser.add_argument('--no-persistent-workers', dest='persistent_workers',
                        action='store_false', help='start new loader processes every epoch')
    add_common_options(parser)
    return parse(parser, argv)


def main(argv=None) -> int:
    return exit_code(lambda: train(**parse_args(argv)))


if __name__ == '__main__':
    end(main())

#!/usr/bin/env python
"""Make a small file for others of a training checkpoint.

    python tools/publish.py work_dirs/RUN/epoch_25.pth weights convmixer-128-4_cifar10 \\
        --dtype float16

writes weights/convmixer-128-4_cifar10-<first 8 of its sha256>.pth with the
weights, what they were trained with, and what these very weights reach on the
test set; no optimizer, no log. `tools/verify.py` repeats the measurement.
"""
import argparse
import sys

from mmconvmixer.apis.evaluation import as_text
from mmconvmixer.apis.publishing import publish
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.checkpoints.convert import DTYPES
from mmconvmixer.cli.common import exit_code


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='what a training run wrote')
    parser.add_argument('folder', help='where the published file goes')
    parser.add_argument('name', help='model name, the beginning of the file name')
    parser.add_argument('--dtype', default='float32', choices=DTYPES, help='of the weights')
    parser.add_argument('--config', help='whose test set; default: the one of the run')
    parser.add_argument('--data', help='folder of the test data; default: the config\'s')
    return parser.parse_args(argv)


def run(**options) -> None:
    path = publish(**options)
    print(as_text(read_checkpoint(path)['meta']['published']['metrics']))
    print(f'{path}  {path.stat().st_size} bytes')


def main(argv=None) -> int:
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    sys.exit(main())

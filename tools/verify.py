#!/usr/bin/env python
"""Repeat the published evaluation of a checkpoint and compare.

    python tools/verify.py convmixer-128-4_cifar10 --data data/cifar10
    python tools/verify.py weights/convmixer-128-4_cifar10-1a2b3c4d.pth

Exit code 0: every figure is reached to 0.01 (the accuracy of a class to one
image, the calibration error to 0.05); 1: one is not, or the images are
others; 2: it could not be tried.
"""
import argparse
import sys

from mmconvmixer.apis.verification import Verification, verify
from mmconvmixer.cli.common import exit_code


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='path, URL or model name')
    parser.add_argument('--data', help='folder of the test data; default: the config\'s')
    parser.add_argument('--config', help='whose test set; default: the published one')
    return parser.parse_args(argv)


def report(result: Verification) -> None:
    differing = result.differing()
    width = max(map(len, result.figures), default=6)
    print(f'{"metric":{width}}  published  measured')
    for name, (published, measured) in result.figures.items():
        print(f'{name:{width}}  {published:9.2f}  {measured:8.2f}'
              + ('  differs' if name in differing else ''))
    data = {None: 'not known', True: 'the published images',
            False: 'NOT the images of the published figures'}[result.same_data]
    print(f'test data: {data}')
    print(f'{len(differing)} of {len(result.figures)} figures differ')


def main(argv=None) -> int:
    args = parse_args(argv)
    results = []

    def run() -> None:
        results.append(verify(**vars(args)))
        report(results[0])
    return exit_code(run) or int(bool(results[0].differing()) or results[0].same_data is False)


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python
"""Unpack CIFAR's binary archive into the class folders that the configs read.

    python tools/unpack_cifar.py cifar-10-binary.tar.gz data/cifar10

The archives are on https://www.cs.toronto.edu/~kriz/cifar.html ("binary
version"); unlike the "python version" they hold no pickled code.
"""
import argparse
import sys

from mmconvmixer.cli.common import exit_code
from mmconvmixer.datasets.cifar import unpack_cifar


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('archive', help='cifar-10-binary.tar.gz or cifar-100-binary.tar.gz')
    parser.add_argument('out', help='folder to write {train,test}/<class>/<nnnnn>.png to')
    return parser.parse_args(argv)


def main(argv=None) -> int:
    args = parse_args(argv)
    return exit_code(lambda: print(unpack_cifar(args.archive, args.out), 'images'))


if __name__ == '__main__':
    sys.exit(main())

"""Unpack CIFAR's binary archive into the class folders that the configs read.

    %(prog)s cifar-10-binary.tar.gz data/cifar10

The archives are on https://www.cs.toronto.edu/~kriz/cifar.html ("binary
version"). Unlike the "python version" they hold no pickled code.
"""
import argparse

from mmconvmixer.cli.common import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('archive', help='cifar-10-binary.tar.gz or cifar-100-binary.tar.gz')
    parser.add_argument('out', help='folder to write {train,test}/<class>/<nnnnn>.png to')


def run(archive: str, out: str) -> None:
    """Unpack, and print the number of images."""
    from mmconvmixer.datasets.cifar import unpack_cifar
    print(unpack_cifar(archive, out), 'images')


def main(argv: list[str] | None = None, prog: str = 'python tools/unpack_cifar.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

"""`mmconvmixer COMMAND ...`: the same functions as tools/, for an installed package.

A command is a module of this folder. It imports what it computes with only after
its arguments are parsed, so `--help` answers at once.
"""
import argparse
import sys
from importlib import import_module
from typing import NoReturn

from mmconvmixer.cli.common import end_process
from mmconvmixer.version import __version__

COMMANDS = {
    'train': 'Train a model.',
    'test': 'Evaluate a model.',
    'predict': 'Classify images.',
    'verify': 'Repeat the published evaluation of a checkpoint and compare.',
    'publish': 'Make a small file to share from a training checkpoint.',
    'convert': "Convert a weight file of any library into another library's.",
    'download': 'Fill a folder with published weights.',
    'export': 'Write a network for another runtime and check its answers there.',
    'quantize': 'Write a classifier in int8 and measure what that costs.',
    'benchmark': 'Time a network in all runtimes and beside other libraries.',
    'plot-log': 'Draw loss, accuracy and learning rate of runs.',
    'analyze': 'Write one HTML page about a run or its predictions.',
    'visualize': 'Draw what a network is made of, and what it does with images.',
    'unpack-cifar': "Unpack CIFAR's binary archive into class folders.",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog='mmconvmixer', usage='mmconvmixer COMMAND [arguments]',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='ConvMixer and MLP-Mixer for mmpretrain.\n\n'
        '    mmconvmixer predict convmixer-768-32_3rdparty_in1k image.jpg\n'
        '    mmconvmixer train --help\n\ncommands:\n'
        + '\n'.join(f'  {name:{width}}  {text}' for name, text in COMMANDS.items()))
    parser.add_argument('--version', action='version', version=f'mmconvmixer {__version__}')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND',
                        help='one of the above; COMMAND --help explains it')
    # The command parses the arguments that follow its name.
    command = parser.parse_args(argv[:1]).command
    module = import_module(f'mmconvmixer.cli.{command.replace("-", "_")}')
    return module.main(argv[1:], prog=f'mmconvmixer {command}')


def start() -> NoReturn:
    """Run the command line that this process was started with."""
    end_process(main())

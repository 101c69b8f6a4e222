#!/usr/bin/env python
"""Make a small file for others of a training checkpoint.

    python tools/publish.py work_dirs/RUN/epoch_25.pth weights convmixer-128-4_cifar10

writes weights/convmixer-128-4_cifar10-<first 8 of its sha256>.pth with the
weights, the class names and what they were trained with; no optimizer, no log.
"""
import argparse
import sys

from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.write import publish
from mmconvmixer.command_line import exit_code
from mmconvmixer.files import check_writable

KEPT = ('epoch', 'iter', 'seed', 'mmengine_version', 'dataset_meta')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='what a training run wrote')
    parser.add_argument('folder', help='where the published file goes')
    parser.add_argument('name', help='model name, the beginning of the file name')
    return parser.parse_args(argv)


def run(checkpoint: str, folder: str, name: str) -> None:
    source = read_checkpoint(checkpoint)
    weights = state_dict_of(source, checkpoint)
    meta = source.get('meta') or {}
    check_writable(folder)
    path = publish(dict(state_dict=weights, meta={key: meta[key] for key in KEPT if key in meta}),
                   folder, name)
    print(f'{path}  {path.stat().st_size} bytes')


def main(argv=None) -> int:
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    sys.exit(main())

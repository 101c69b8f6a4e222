#!/usr/bin/env python
"""Fill a folder with published weights, for machines without a network.

    python tools/download.py 'convmixer-*' --to weights
    MMCONVMIXER_MIRROR=weights python tools/test.py CONFIG

What is there and has the right hash is not downloaded again.
"""
import argparse
import sys

from mmconvmixer.cli.common import exit_code
from mmconvmixer.errors import DownloadError
from mmconvmixer.zoo.mirror import fill_mirror


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('pattern', nargs='?', default='convmixer*',
                        help='of model names, as list_models takes it; default: %(default)s')
    parser.add_argument('--to', required=True, metavar='DIR', help='folder to fill')
    return parser.parse_args(argv)


def run(pattern: str, to: str) -> None:
    files, errors = 0, []
    for file in fill_mirror(pattern, to):
        files += 1
        if file.error:
            errors.append(str(file.error))
            continue
        verified = f'sha256 {file.promised} verified' if file.promised else 'no hash known'
        print(f'{file.path.name}  {file.path.stat().st_size} bytes  {verified}', flush=True)
    if errors:
        raise DownloadError(f'{len(errors)} of {files} files failed: {"; ".join(errors)}')


def main(argv=None) -> int:
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    sys.exit(main())

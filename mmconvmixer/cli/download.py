"""Fill a folder with published weights, for machines without a network.

    %(prog)s 'convmixer-*' --to weights
    MMCONVMIXER_MIRROR=weights mmconvmixer test CONFIG

A file that is already there and has the right hash is not downloaded again.
"""
import argparse

from mmconvmixer.cli.common import run_command
from mmconvmixer.errors import DownloadError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('pattern', nargs='?', default='convmixer*',
                        help='model names with wildcards, as in list_models (default: '
                        '%(default)s)')
    parser.add_argument('--to', required=True, metavar='DIR', help='folder to fill')


def run(pattern: str, to: str) -> None:
    """Print a line for each file; see `mmconvmixer.zoo.mirror.fill_mirror`."""
    from mmconvmixer.zoo.mirror import fill_mirror
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


def main(argv: list[str] | None = None, prog: str = 'python tools/download.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

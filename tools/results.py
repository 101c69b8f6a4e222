#!/usr/bin/env python
"""Draw the curves of runs, and print the tables that docs/results.md holds.

    python tools/results.py docs/results --curves docs/results/top1.png

FOLDER holds run.json files that tools/train.py wrote, renamed to what the curves are to
be called; rows.yml, the rows of the table with the figures to pass; and
official_log.yml, the epochs of the paper's authors' run.
"""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mmconvmixer.cli.common import exit_code


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog=f'python tools/{Path(__file__).name}',
                                     description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', help='folder of the records')
    parser.add_argument('--curves', help='image to write, .png or .svg')
    parser.add_argument('--metric', default='accuracy/top1', help='what the curves show')
    return parser.parse_args(argv)


def run(folder: str, curves: str | None, metric: str) -> None:
    """Draw the curves and print the tables."""
    # Not before the arguments are parsed, because it takes seconds.
    from mmconvmixer.visualization import epochs_table, plot_logs, read_records, results_table
    runs = read_records(folder)
    if curves:
        plot_logs(runs, [curves], metric)
    for name, table in (('rows.yml', results_table), ('official_log.yml', epochs_table)):
        if Path(folder, name).is_file():
            print(table(folder), end='\n\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit code."""
    args = parse_args(argv)
    return exit_code(lambda: run(**vars(args)))


if __name__ == '__main__':
    raise SystemExit(main())

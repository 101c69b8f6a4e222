#!/usr/bin/env python
"""Draw the curves of runs, and print the tables that docs/results.md holds.

    python tools/results.py docs/results --curves docs/results/top1.png

FOLDER holds run.json files as tools/train.py writes them, under the names that
the curves get; rows.yml, the figures to pass; official_log.yml, epochs of another's run.
"""
import argparse
import sys
from pathlib import Path

from mmconvmixer.cli.common import exit_code
from mmconvmixer.visualization import epochs_table, plot_curves, read_runs, results_table


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', help='of the records')
    parser.add_argument('--curves', help='image to write, .png or .svg')
    parser.add_argument('--metric', default='accuracy/top1', help='what the curves show')
    return parser.parse_args(argv)


def run(folder: str, curves: str | None, metric: str) -> None:
    runs = read_runs(folder)
    if curves:
        plot_curves(runs, curves, metric)
    for name, table in (('rows.yml', results_table), ('official_log.yml', epochs_table)):
        if Path(folder, name).is_file():
            print(table(folder), end='\n\n')


def main(argv=None) -> int:
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    sys.exit(main())

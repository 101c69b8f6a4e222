#!/usr/bin/env python
"""Draw loss, top-1, top-5 and learning rate of runs.

    python tools/plot_log.py work_dirs/convmixer-64-4_digits
    python tools/plot_log.py work_dirs/* --out compared.png --out compared.svg

RUN is a work dir, the folder of one start in it, or a file: scalars.json, scalars.csv or
run.json.
"""
import argparse
from collections.abc import Sequence

from mmconvmixer.cli.common import exit_code
from mmconvmixer.visualization import plot_logs, read_logs
from mmconvmixer.visualization.plot import check_image_paths


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='RUN', help='what to draw, one curve each')
    parser.add_argument('--out', action='append', metavar='FILE',
                        help='image to write, .png or .svg; may be given several times; '
                        'default curves.png')
    return parser.parse_args(argv)


def run(runs: list[str], out: list[str] | None) -> None:
    """Read the runs, print what was left out, and draw them."""
    out = out or ['curves.png']
    check_image_paths(out)
    logs = read_logs(runs)
    for note in (note for log in logs for note in log.notes):
        print(f'note: {note}')
    plot_logs(logs, out)
    print(f'wrote {", ".join(out)}: {", ".join(log.name for log in logs)}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit code."""
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    raise SystemExit(main())

"""Draw loss, top-1, top-5 and learning rate of runs.

    %(prog)s work_dirs/convmixer-64-4_digits
    %(prog)s work_dirs/* --out compared.png --out compared.svg

RUN is a work dir, the folder of one start in it, or a file: scalars.json,
scalars.csv or run.json.
"""
import argparse

from mmconvmixer.cli.common import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('runs', nargs='+', metavar='RUN', help='runs to draw, one curve each')
    parser.add_argument('--out', action='append', metavar='FILE',
                        help='image to write, .png or .svg; may be given several times '
                        '(default: curves.png)')


def run(runs: list[str], out: list[str] | None) -> None:
    """Draw the curves; see `mmconvmixer.visualization`."""
    from mmconvmixer.visualization import plot_logs, read_logs
    from mmconvmixer.visualization.save import check_image_paths
    out = out or ['curves.png']
    check_image_paths(out, 'curves')
    logs = read_logs(runs)
    for note in (note for log in logs for note in log.notes):
        print(f'note: {note}')
    plot_logs(logs, out)
    print(f'wrote {", ".join(out)}: {", ".join(log.name for log in logs)}')


def main(argv: list[str] | None = None, prog: str = 'python tools/plot_log.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

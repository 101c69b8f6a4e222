"""Write one HTML page about a run or its predictions, which needs no other file.

    %(prog)s work_dirs/RUN --out report.html
    %(prog)s predictions.json --config CONFIG

It has accuracies, calibration, confusion and the worst images, and of a run its curves,
config and environment, too.
"""
import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from mmconvmixer.cli.common import run_command
from mmconvmixer.cli.predictions_of import add_config_of_images, add_source, predictions_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_source(parser, 'RUN|PREDICTIONS')
    add_config_of_images(parser)
    parser.add_argument('--out', default='report.html', metavar='FILE',
                        help='page to write, .html (default: report.html)')


def run(source: str, checkpoint: str | None, data: str | None, config: str | None,
        out: str) -> None:
    """Test a model if need be, and write the page."""
    from mmconvmixer._support.atomic_write import atomic_write
    from mmconvmixer.checkpoints.run_record import read_run_record
    from mmconvmixer.errors import OutputNotWritable
    from mmconvmixer.visualization.predicted_images import PredictedImages
    from mmconvmixer.visualization.report import report
    from mmconvmixer.zoo import load_config
    if Path(out).suffix.lower() not in ('.html', '.htm'):
        raise OutputNotWritable(f'{out}: the page is written as .html; give a file with this '
                                'suffix')
    predictions, tested = predictions_of(source, checkpoint, data)
    is_run = os.path.isdir(source)
    used = config or tested
    page = report(predictions, PredictedImages(predictions, used),
                  _curves(source) if is_run else None, read_run_record(source) if is_run else None,
                  load_config(used).pretty_text if used else None)
    with atomic_write(out) as part:
        part.write_text(page, encoding='utf-8')
    print(f'wrote {out}: {predictions.right.mean():.2%} of {len(predictions.labels):,} images are '
          'right')


def _curves(work_dir: str) -> bytes | None:
    """Return a PNG of the curves of a run, None if it has no log."""
    from mmconvmixer.errors import BadConfig
    from mmconvmixer.visualization import plot_logs, read_log
    with TemporaryDirectory() as folder:
        path = Path(folder, 'curves.png')
        try:
            plot_logs([read_log(work_dir)], [path])
        except BadConfig as error:
            print(f'note: {error}')
            return None
        return path.read_bytes()


def main(argv: list[str] | None = None, prog: str = 'python tools/analyze.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

"""The predictions of what a user names: a file of them, or a model, which is tested first."""
import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmconvmixer.visualization.predictions_file import Predictions


def add_source(parser: argparse.ArgumentParser, metavar: str) -> None:
    """Add the arguments of `predictions_of`."""
    parser.add_argument('source', metavar=metavar,
                        help='predictions that tools/test.py --out FILE.json wrote, or a model, '
                        'a config, the work dir of a run or a checkpoint in one, which is tested '
                        'first')
    parser.add_argument('--checkpoint', help='path, URL or name of other weights for a model')
    add_data(parser)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add `--data`, the images that a model is tested on."""
    parser.add_argument('--data', metavar='DIR',
                        help='test a model on these images, one folder per class')


def add_config_of_images(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, for images that are not at the paths in a file of predictions."""
    parser.add_argument('--config', help='config or model whose test set has the images, if they '
                        'are not at the paths in PREDICTIONS')


def predictions_of(source: str, checkpoint: str | None, data: str | None
                   ) -> tuple['Predictions', str | None]:
    """Return predictions, and the config of the model that made them if it is known.

    Args:
        source: a `.json` file, or what `source_of` takes for a model.
        checkpoint: of a model, see `source_of`.
        data: folder of images that replaces a model's test set.

    Raises:
        MMConvMixerError: see `read_predictions`, `source_of` and `evaluate`.
    """
    from mmconvmixer.visualization.predictions_file import read_predictions
    if source.endswith(('.json', '.pkl', '.pickle')):
        return read_predictions(source), None
    from mmconvmixer.apis.evaluation import evaluate
    from mmconvmixer.visualization.sources import source_of
    config, weights = source_of(source, checkpoint)
    # Windows cannot remove a folder with an open log file.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder, f'{Path(source).absolute().stem}.json')
        evaluate(config, weights, data=data, work_dir=f'{folder}/logs', out=str(out))
        return read_predictions(out), config

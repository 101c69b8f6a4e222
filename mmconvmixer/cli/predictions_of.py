"""The predictions of what a user names: a file of them, or a model, which is tested first."""
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmconvmixer.visualization.predictions_file import Predictions


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

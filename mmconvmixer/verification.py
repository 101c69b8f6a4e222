"""Does a published checkpoint reach its published figures here?"""
import math
from dataclasses import dataclass
from pathlib import Path

from mmconvmixer import zoo
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import BadCheckpoint
from mmconvmixer.publishing import config_of, measure

# Half of the last digit that is published, and one of 10,000 pictures.
TOLERANCE = 0.01

_METAFILE_NAMES = {'Top 1 Accuracy': 'accuracy/top1', 'Top 5 Accuracy': 'accuracy/top5'}


@dataclass(frozen=True)
class Verification:
    """Published figures beside those measured here.

    Attributes:
        figures: metric name -> (published, measured), in percent; NaN where the
            config measures no such metric.
        same_data: whether the test pictures are those of the published
            figures; None where their fingerprint was not published.
    """
    figures: dict[str, tuple[float, float]]
    same_data: bool | None

    def differing(self) -> list[str]:
        """Return the names of the metrics that are not within `TOLERANCE`."""
        return [name for name, (published, measured) in self.figures.items()
                if not round(abs(published - measured), 6) <= TOLERANCE]


def verify(checkpoint: str | Path, data: str | None = None,
           config: str | None = None) -> Verification:
    """Repeat the published evaluation of a checkpoint.

    Args:
        checkpoint: path, URL or model name. The figures are those that
            `publish` wrote into the file, else those of the zoo's metafile.
        data: folder of the test data; None for the config's.
        config: whose test set; None for the published one.

    Raises:
        BadCheckpoint: nothing is published for this file.
        BadConfig: its config is not here.
    """
    path = zoo.resolve_checkpoint(checkpoint)
    published = (read_checkpoint(path).get('meta') or {}).get('published')
    if not published:
        published = _from_metafile(path)
    config = config_of(published['config_file'], config, path)
    metrics, test_data = measure(config, path, data)
    before, now = _flat(published['metrics']), _flat(metrics)
    expected_data = published.get('data')
    return Verification(
        {name: (value, now.get(name, math.nan)) for name, value in before.items()},
        None if expected_data is None or expected_data['of'] != test_data['of']
        else expected_data['sha256'] == test_data['sha256'])


def _from_metafile(path: Path) -> dict:
    for name in zoo.names():
        entry = zoo.find(name)
        if Path(entry.weights).name == path.name:
            metrics = entry.results.data[0].metrics
            return dict(config_file=entry.config, metrics={
                ours: metrics[theirs] for theirs, ours in _METAFILE_NAMES.items()
                if theirs in metrics})
    raise BadCheckpoint(f'nothing is published for {path}: it holds no figures (tools/publish.py '
                        'writes files that do), and no model of the zoo has a file of that name')


def _flat(metrics: dict) -> dict[str, float]:
    flat = {}
    for name, value in metrics.items():
        flat.update({f'{name}/{key}': single for key, single in value.items()}
                    if isinstance(value, dict) else {name: value})
    return flat

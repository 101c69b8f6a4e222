"""Check whether a published checkpoint reaches its published metrics on this machine."""
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmconvmixer import zoo
from mmconvmixer.apis.publishing import config_of, measure
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import BadCheckpoint

TOLERANCE = 0.01

_METAFILE_NAMES = {'Top 1 Accuracy': 'accuracy/top1', 'Top 5 Accuracy': 'accuracy/top5'}


@dataclass(frozen=True)
class Verification:
    """Published metrics beside the metrics measured here.

    Attributes:
        figures: metric name -> (published, measured), in percent; NaN if the config
            does not measure the metric.
        tolerances: metric name -> largest difference allowed, in percentage points.
        same_data: whether the test images are the ones used for publishing; None if
            a fingerprint is missing.
    """

    figures: dict[str, tuple[float, float]]
    tolerances: dict[str, float]
    same_data: bool | None

    def differing(self) -> list[str]:
        """Return the names of the metrics that differ by more than their tolerance."""
        return [name for name, (published, measured) in self.figures.items()
                if not round(abs(published - measured), 6) <= self.tolerances[name]]


def verify(checkpoint: str | Path, data: str | None = None,
           config: str | None = None) -> Verification:
    """Repeat the published evaluation of a checkpoint.

    Metrics may differ by 0.01, the accuracy of a class by one image, and the calibration
    error by 0.05, because other processors round differently, which can change a close
    decision.

    Args:
        checkpoint: path, URL or model name. The published metrics are those that
            `publish` wrote into the file, or else those of the zoo's metafile.
        data: folder of the test data; None for the config's.
        config: config with the test set; None for the one used for publishing.

    Raises:
        BadCheckpoint: no metrics are published for this file.
        BadConfig: its config is not in this package.
    """
    path = zoo.resolve_checkpoint(checkpoint)
    published = _in_file(path) or _in_metafile(checkpoint, path)
    config = config_of(published.get('config_file'), config, path)
    metrics, test_data = measure(config, path, data)
    before, now = _flat(published['metrics']), _flat(metrics)
    if not before:
        raise BadCheckpoint(f'{path} has no published metrics')
    classes = sum('/per_class/' in name for name in before)
    tolerances = {name: _tolerance(name, classes / test_data['images']) for name in before}
    return Verification({name: (value, now.get(name, math.nan)) for name, value in before.items()},
                        tolerances, _same(published.get('data'), test_data))


def _in_file(path: Path) -> dict | None:
    meta = read_checkpoint(path).get('meta')
    published = meta.get('published') if isinstance(meta, Mapping) else None
    if published is None:
        return None
    if not isinstance(published, Mapping) or not isinstance(published.get('metrics'), Mapping):
        raise BadCheckpoint(f'the published metrics in {path} are {reprlib.repr(published)}, '
                            'expected a dict with the key metrics; tools/publish.py writes such '
                            'files')
    return published


def _in_metafile(checkpoint: str | Path, path: Path) -> dict:
    entry = zoo.find_by_checkpoint(checkpoint, path)
    if entry is None or not entry.results:
        raise BadCheckpoint(f'no figures are published for {path}: it holds none '
                            '(tools/publish.py writes files that do), and the zoo has none for it')
    metrics = entry.results.data[0].metrics
    config = Path(entry.config).relative_to(zoo.package_root())
    return dict(config_file=str(config), metrics={
        name: metrics[title] for title, name in _METAFILE_NAMES.items() if title in metrics})


def _tolerance(name: str, share_of_a_class_image: float) -> float:
    if '/per_class/' in name:
        return 100 * share_of_a_class_image + TOLERANCE
    return 0.05 if name == 'calibration/ece' else TOLERANCE


def _same(published: object, measured: dict) -> bool | None:
    if not isinstance(published, Mapping):
        return None
    # Files published by version 0.1 call the count 'pictures'.
    if published.get('images', published.get('pictures')) != measured['images']:
        return False
    if not published.get('sha256') or published.get('of') != measured['of']:
        return None
    return published['sha256'] == measured['sha256']


def _flat(metrics: Mapping) -> dict[str, float]:
    """Return all metrics that are numbers; those in nested dicts get the name `name/key`."""
    flat = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update({f'{name}/{key}': number for key, number in _flat(value).items()})
        elif isinstance(value, int | float):
            flat[name] = value
    return flat

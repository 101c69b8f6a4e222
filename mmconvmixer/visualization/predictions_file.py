"""Read the predictions that `tools/test.py --out FILE.json` writes."""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmconvmixer.datasets.same_classes import distinct_names
from mmconvmixer.errors import BadConfig


@dataclass(frozen=True)
class Predictions:
    """The predictions for a test set, in its order.

    Attributes:
        name: what figures call them: the name of the file.
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        scores: (N, classes) probabilities; None if the model gives none.
        paths: (N,) of the images, None for an image that has none.
        classes: a different name for each class; its number where the file has no name.
    """

    name: str
    labels: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray | None
    paths: list[str | None]
    classes: list[str]

    @property
    def right(self) -> np.ndarray:
        """Whether each prediction is right, (N,)."""
        return self.labels == self.predicted

    @property
    def true_scores(self) -> np.ndarray:
        """The probability of each image's true class, (N,).

        Raises:
            BadConfig: the predictions have no scores.
        """
        if self.scores is None:
            raise BadConfig(f'{self.name} has no scores of the classes, which are needed here')
        return self.scores[np.arange(len(self.labels)), self.labels]


def read_predictions(path: str | Path) -> Predictions:
    """Read a `.json` file of predictions for images with one true label each.

    A file names only classes that were predicted.

    Raises:
        BadConfig: it is not such a file.
    """
    path = Path(path)
    if path.suffix in ('.pkl', '.pickle'):
        raise BadConfig(f'{path} is a pickle, which can run code when it is read; let '
                        'tools/test.py write the predictions to a .json file')
    try:
        rows = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise BadConfig(f'{path} cannot be read: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise BadConfig(f'{path} is not JSON: {error}') from error
    if not isinstance(rows, list) or not rows:
        raise BadConfig(_not_predictions(path, 'a list with an entry for each image'))
    try:
        return _from_rows(path.stem, rows)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadConfig(_not_predictions(
            path, 'gt_label and pred_label, one number each, and pred_scores of the same length in '
            'every entry')) from error


def _not_predictions(path: Path, expected: str) -> str:
    return (f'{path} is not the predictions of a classifier for labelled images; expected '
            f'{expected}, as tools/test.py --out FILE.json writes them')


def _from_rows(name: str, rows: list[dict[str, Any]]) -> Predictions:
    labels, predicted = (np.array([row[key] for row in rows]) for key in ('gt_label', 'pred_label'))
    scores = None
    if 'pred_scores' in rows[0]:
        scores = np.array([row['pred_scores'] for row in rows], np.float32)
        if scores.ndim != 2:
            raise ValueError('scores of different lengths')
    if labels.ndim != 1 or not all(each.dtype.kind == 'i' and each.min() >= 0
                                   for each in (labels, predicted)):
        raise ValueError('labels are not whole numbers')
    count = max(labels.max(), predicted.max()) + 1
    if scores is not None:
        if count > scores.shape[1]:
            raise ValueError('a label without a score')
        count = scores.shape[1]
    names = {int(row['pred_label']): str(row['pred_class']) for row in rows
             if row.get('pred_class') is not None}
    return Predictions(name, labels, predicted, scores, [row.get('img_path') for row in rows],
                       distinct_names([names.get(label, str(label)) for label in range(count)]))

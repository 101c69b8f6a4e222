"""Metrics beyond top-1 accuracy: accuracy of each class, and calibration."""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmconvmixer.datasets.same_classes import distinct_names
from mmconvmixer.errors import BadConfig


class PerClassAccuracy(BaseMetric):
    """Top-1 accuracy of each class, in percent: `{'accuracy/per_class': {name: value}}`.

    Classes without test images are omitted. Classes with the same name are told apart by
    their number, as in `crane (134)`.
    """

    default_prefix = 'accuracy'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Record label and hit of each sample."""
        for sample in data_samples:
            label = true_label(sample, type(self).__name__)
            # The scores come first, as in mmpretrain's metrics.
            predicted = (sample['pred_score'].argmax(0) if 'pred_score' in sample
                         else sample['pred_label'])
            self.results.append((label, int(predicted) == label))

    def compute_metrics(self, results: list) -> dict:
        """Return the accuracy of each class, by its name."""
        labels, hits = (torch.tensor(column) for column in zip(*results, strict=True))
        counts = labels.bincount()
        right = labels.bincount(hits.double())
        classes = (self.dataset_meta or {}).get('classes') or ()
        names = distinct_names(classes, max(len(classes), len(counts)))
        return dict(per_class={
            names[label]: 100 * float(right[label] / counts[label])
            for label in counts.nonzero().flatten().tolist()})


class CalibrationError(BaseMetric):
    """Expected calibration error (ECE), in percent: `{'calibration/ece': value}`.

    Images are grouped into `bins` equal intervals of 0..1 by the score of the predicted
    class. The metric is the mean gap between a group's mean score and its accuracy,
    weighted by the group's size.

    Args:
        bins: number of intervals.
        collect_device: see mmengine's `BaseMetric`.
        prefix: see mmengine's `BaseMetric`.

    Source: Guo et al., https://arxiv.org/abs/1706.04599, section 2 (15 bins).
    """

    default_prefix = 'calibration'

    def __init__(self, bins: int = 15, collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.bins = bins

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Record score and hit of each sample."""
        for sample in data_samples:
            true = true_label(sample, type(self).__name__)
            if 'pred_score' not in sample:
                raise BadConfig('CalibrationError needs the scores of the classes, but the model '
                                'predicts labels only; leave the metric out')
            score, label = sample['pred_score'].max(0)
            self.results.append((float(score), int(label) == true))

    def compute_metrics(self, results: list) -> dict:
        """Return the error of all samples."""
        scores, hits = (torch.tensor(column, dtype=torch.float64)
                        for column in zip(*results, strict=True))
        return dict(ece=100 * float(calibration_error(scores, hits, self.bins)))


def true_label(sample: dict, metric: str) -> int:
    """Return the only label of a sample.

    Raises:
        BadConfig: it has none or several, of which this metric can't make sense.
    """
    labels = sample.get('gt_label')
    if labels is not None and len(labels) == 1:
        return int(labels)
    found = 'no label' if labels is None else f'{len(labels)} labels'
    raise BadConfig(f'{metric} needs one label per image, but {sample.get("img_path", "an image")} '
                    f'has {found}; for several labels, use the metrics MultiLabelMetric and '
                    'AveragePrecision')


def calibration_error(scores: Tensor, hits: Tensor, bins: int) -> Tensor:
    """Return the expected calibration error (a scalar), 0..1.

    Args:
        scores: (N,) scores of the predicted classes, 0..1.
        hits: (N,) 1 where the prediction is right, 0 elsewhere.
        bins: number of equal intervals, each open below and closed above.
    """
    # Summing (not averaging) per bin already weights each gap by the bin's size.
    groups = (scores * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gaps = groups.bincount(scores - hits, minlength=bins)
    return gaps.abs().sum() / len(scores)


def as_text(metrics: dict) -> str:
    """Return metrics as text: a line for each dict, then all single numbers in the last line."""
    single = [name for name, value in metrics.items() if not isinstance(value, dict)]
    lines = [f'{name}: ' + ', '.join(_with_value(*item) for item in values.items())
             for name, values in metrics.items() if name not in single]
    return '\n'.join([*lines, '  '.join(_with_value(name, metrics[name]) for name in single)])


def _with_value(name: str, value: object) -> str:
    return f'{name} {value:.2f}' if isinstance(value, float) else f'{name} {value}'


def as_plain(metrics: Any) -> Any:
    """Return metrics as plain numbers, text, lists and dicts, for JSON and checkpoints."""
    if isinstance(metrics, dict):
        return {str(key): as_plain(value) for key, value in metrics.items()}
    if isinstance(metrics, Tensor | np.ndarray | np.generic):
        return metrics.tolist()
    if isinstance(metrics, list | tuple):
        return [as_plain(value) for value in metrics]
    return metrics if isinstance(metrics, bool | int | float | type(None)) else str(metrics)

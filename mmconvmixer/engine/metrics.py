"""What a top-1 figure leaves out: which classes, and how sure."""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor


class PerClassAccuracy(BaseMetric):
    """Top-1 accuracy of each class, in percent: `{'accuracy/per_class': {name: value}}`.

    Classes without an image are left out.
    """

    default_prefix = 'accuracy'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            label = int(sample['gt_label'])
            self.results.append((label, int(sample['pred_label']) == label))

    def compute_metrics(self, results: list) -> dict:
        labels, hits = (torch.tensor(column) for column in zip(*results, strict=True))
        counts = labels.bincount()
        right = labels.bincount(hits.double())
        classes = (self.dataset_meta or {}).get('classes') or range(len(counts))
        return dict(per_class={
            str(classes[label]): 100 * float(right[label] / counts[label])
            for label in counts.nonzero().flatten().tolist()})


class CalibrationError(BaseMetric):
    """Expected calibration error (ECE), in percent: `{'calibration/ece': value}`.

    Images are grouped by the score of the predicted class into `bins` equal
    intervals of 0..1; the gaps between mean score and accuracy of the groups are
    averaged, weighted by their sizes.

    Args:
        bins: number of intervals.

    Source: Guo et al., https://arxiv.org/abs/1706.04599, section 2 (15 bins).
    """

    default_prefix = 'calibration'

    def __init__(self, bins: int = 15, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.bins = bins

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            score, label = sample['pred_score'].max(0)
            self.results.append((float(score), int(label) == int(sample['gt_label'])))

    def compute_metrics(self, results: list) -> dict:
        scores, hits = (torch.tensor(column, dtype=torch.float64)
                        for column in zip(*results, strict=True))
        return dict(ece=100 * float(calibration_error(scores, hits, self.bins)))


def calibration_error(scores: Tensor, hits: Tensor, bins: int) -> Tensor:
    """Return the ECE, 0..1.

    Args:
        scores: (N,) of the predicted classes, 0..1.
        hits: (N,) 1 where the prediction is right, else 0.
        bins: number of equal intervals, each open below and closed above.
    """
    # Of score and hit in each bin, the sums: their gap is weighted by the size already.
    groups = (scores * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gaps = groups.bincount(scores - hits, minlength=bins)
    return gaps.abs().sum() / len(scores)


def as_plain(metrics: Any) -> Any:
    """Return metrics as numbers, text, lists and dicts: fit for JSON and for checkpoints."""
    if isinstance(metrics, dict):
        return {str(key): as_plain(value) for key, value in metrics.items()}
    if isinstance(metrics, Tensor | np.ndarray | np.generic):
        return metrics.tolist()
    if isinstance(metrics, list | tuple):
        return [as_plain(value) for value in metrics]
    return metrics if isinstance(metrics, bool | int | float | type(None)) else str(metrics)

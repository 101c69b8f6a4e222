"""One prediction for each image whose views a model for test-time augmentation merges."""
from collections.abc import Callable, Sequence

import torch
from mmengine.model import BaseTTAModel
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn


def merge_into_one_prediction(model: nn.Module) -> None:
    """Let label and scores of what a model for test-time augmentation returns agree.

    mmpretrain's `AverageClsScoreTTA` averages the scores and leaves the label of the first
    view. Some metrics use the label, others the scores: they would judge two predictions.
    Other models are not changed.
    """
    if isinstance(model, BaseTTAModel):
        model.merge_preds = _Merge(model.merge_preds, getattr(model.module, 'head', None))


class _Merge:
    """Calls a model's `merge_preds` and completes its results; unlike a closure, it copies."""

    def __init__(self, merge: Callable[[list], list], head: nn.Module | None) -> None:
        self.merge, self.head = merge, head

    def __call__(self, views_of_images: list[Sequence[DataSample]]) -> list[DataSample]:
        before = [[(view.get('pred_score'), _copy(view.get('pred_score')),
                    _copy(view.get('pred_label'))) for view in views]
                  for views in views_of_images]
        merged = self.merge(views_of_images)
        for sample, views in zip(merged, before, strict=True):
            self._settle(sample, views)
        return merged

    def _settle(self, sample: DataSample,
                views: list[tuple[Tensor | None, Tensor | None, Tensor | None]]) -> None:
        """Change the label or the scores of a merged sample, if they disagree.

        Args:
            sample: what the model made of an image's views.
            views: of each view the scores, their values and the label before they were merged.
        """
        score, label = sample.get('pred_score'), sample.get('pred_label')
        if not isinstance(score, Tensor):
            return
        right = predicted_label(score, self.head)
        if label is not None and _equal(label, right):
            return
        first, first_score, first_label = views[0]
        kept = score is first and _equal(score, first_score)
        if label is not None and kept and not _equal(label, first_label):
            # The model voted on labels: the scores are those of the views that agree.
            agreeing = [values for _, values, voted in views
                        if values is not None and _equal(voted, label)]
            sample.set_pred_score(torch.stack(agreeing).mean(0) if agreeing else
                                  torch.zeros_like(score).index_fill_(0, label, 1))
        else:
            sample.set_pred_label(right)


def predicted_label(score: Tensor, head: nn.Module | None = None) -> Tensor:
    """Return the labels (1,) that a head predicts from scores (classes,); of several, (n,)."""
    if isinstance(head, MultiLabelClsHead):
        if head.thr is not None:
            return torch.where(score >= head.thr)[0]
        return score.topk(head.topk).indices
    return score.argmax(0, keepdim=True)


def _copy(value: Tensor | None) -> Tensor | None:
    return value.clone() if isinstance(value, Tensor) else None


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    return (isinstance(one, Tensor) and isinstance(other, Tensor)
            and torch.equal(one.cpu(), other.cpu()))

"""Write the prediction for each image to a file."""
from collections.abc import Sequence
from typing import Any

import mmengine
from mmengine.evaluator import DumpResults

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.engine.metrics import as_plain


class DumpPredictions(DumpResults):
    """A metric that collects the predictions, in dataset order, and returns no values.

    `write` writes them to a file. It comes after the evaluation, whose figures then do not
    depend on whether the file can be written.

    Args:
        path: a file. `.pkl` gives mmpretrain's format, which its analysis tools read
            (dicts with tensors); `.json` gives plain numbers and names.
        classes: class names, for `.json`.
        several_labels: images may have several labels: `.json` has lists of them.
    """

    def __init__(self, path: str, classes: Sequence[str] | None = None,
                 several_labels: bool = False) -> None:
        # 'gpu' collects through memory. The parent accepts only .pkl: the path is set below.
        super().__init__('any.pkl', collect_device='gpu')
        self.out_file_path = path
        self.classes = classes
        self.several_labels = several_labels
        self.collected: list[dict] = []

    def compute_metrics(self, results: list) -> dict:
        """Keep the predictions of all processes; return no metrics."""
        self.collected = results
        return {}

    def write(self) -> None:
        """Write the file; only the main process has the predictions."""
        results = self.collected
        if self.out_file_path.endswith('.json'):
            several = self.several_labels or any(
                len(result[key]) != 1 for result in results
                for key in ('pred_label', 'gt_label') if key in result)
            results = [self._plain(result, several) for result in results]
        with atomic_write(self.out_file_path) as part:
            mmengine.dump(results, str(part))

    def _plain(self, result: dict, several: bool) -> dict:
        if 'pred_label' not in result:  # a model for another task
            return as_plain(result)
        labels = result['pred_label'].tolist()
        if not several and 'pred_score' in result:  # which mmpretrain's metrics judge
            labels = [int(result['pred_score'].argmax())]
        plain: dict[str, Any] = dict(img_path=result.get('img_path'), pred_label=labels)
        if 'pred_score' in result:
            scores = result['pred_score'].float()
            plain.update(pred_score=scores[labels].tolist(), pred_scores=scores.tolist())
        if self.classes:
            plain['pred_class'] = [self.classes[label] if label < len(self.classes) else None
                                   for label in labels]
        if 'gt_label' in result:
            plain['gt_label'] = result['gt_label'].tolist()
        if not several:
            plain.update({key: plain[key][0] for key in ('pred_label', 'pred_score', 'pred_class',
                                                         'gt_label') if key in plain})
        return plain

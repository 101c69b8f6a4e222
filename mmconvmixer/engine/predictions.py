"""Write the prediction for each image to a file."""
from collections.abc import Sequence

import mmengine
from mmengine.evaluator import DumpResults

from mmconvmixer._support.atomic_write import atomic_write


class DumpPredictions(DumpResults):
    """A metric that writes the predictions, in dataset order, and returns no values.

    Args:
        path: a file. `.pkl` gives mmpretrain's format, which its analysis tools read
            (dicts with tensors); `.json` gives plain numbers and names.
        classes: class names, for `.json`.
    """

    def __init__(self, path: str, classes: Sequence[str] | None = None) -> None:
        # 'gpu' collects through memory. The parent accepts only .pkl: the path is set below.
        super().__init__('any.pkl', collect_device='gpu')
        self.out_file_path = path
        self.classes = classes

    def compute_metrics(self, results: list) -> dict:
        """Write the file; return no metrics."""
        if self.out_file_path.endswith('.json'):
            results = [self._plain(result) for result in results]
        with atomic_write(self.out_file_path) as part:
            mmengine.dump(results, str(part))
        return {}

    def _plain(self, result: dict) -> dict:
        scores = result['pred_score'].float()
        label = int(scores.argmax())
        plain = dict(img_path=result.get('img_path'), pred_label=label,
                     pred_score=float(scores[label]), pred_scores=scores.tolist())
        if self.classes:
            plain['pred_class'] = self.classes[label]
        if 'gt_label' in result:
            plain['gt_label'] = int(result['gt_label'])
        return plain

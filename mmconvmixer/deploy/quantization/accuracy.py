"""Top-1 accuracy on a config's test set, for any function from images to logits."""
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmpretrain.models.heads import MultiLabelClsHead

from mmconvmixer.config.test_set import data_root_override
from mmconvmixer.datasets import SkipUnreadable, check_folders
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.same_classes import other_classes
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo.config import require

Run = Callable[[np.ndarray], np.ndarray]


class TestSet:
    """A config's test set in batches (images (N, C, H, W) float32, labels (N,) int64).

    Images that cannot be decoded are left out. It can be iterated any number of times.

    Args:
        model: what `get_model` returned.
        data: folder that replaces the config's.
        batch_size: N of every batch but the last.

    Raises:
        DatasetNotFound: the folder does not exist.
        BadConfig: the model's config has no test set, or one for other classes or for
            several labels per image.
    """
    __test__ = False  # tells pytest that this is not a test

    def __init__(self, model: BaseModel, data: str | None = None, batch_size: int = 50) -> None:
        cfg = model._config.copy()
        require(cfg, 'test_dataloader')
        if data:
            cfg.merge_from_dict(data_root_override(cfg, data))
        check_folders(cfg.test_dataloader.dataset)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self._samples = SkipUnreadable(build_dataset(cfg.test_dataloader.dataset))
        head = getattr(model, 'head', None)
        if isinstance(head, MultiLabelClsHead):
            raise BadConfig('top-1 makes no sense for several labels per image; leave the '
                            'accuracy out with --no-evaluate (evaluate=False)')
        trained = (getattr(model, '_dataset_meta', None) or {}).get('classes')
        strange = other_classes(trained, getattr(head, 'num_classes', None), self._samples)
        if strange:
            origin = getattr(model, 'weights_origin', '') or 'Use the config of its run'
            raise BadConfig(f'the classes of the test set of {cfg.filename} are not those of the '
                            f'checkpoint: {strange}. {origin}, or leave the accuracy out with '
                            '--no-evaluate (evaluate=False)')
        self._preprocess = model.data_preprocessor
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self._samples) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self._samples), self.batch_size):
            end = min(start + self.batch_size, len(self._samples))
            samples = [self._samples[number] for number in range(start, end)]
            # Leave out what replaces a corrupt image, or that sample would count twice.
            samples = [sample for sample in samples if 'unreadable' not in sample['data_samples']]
            if samples:
                batch = self._preprocess(default_collate(samples), training=False)
                labels = [int(sample.gt_label) for sample in batch['data_samples']]
                yield batch['inputs'].float().cpu().numpy(), np.array(labels)


def top1(runs: Mapping[str, Run], test_set: Iterable[tuple[np.ndarray, np.ndarray]]
         ) -> dict[str, float]:
    """Return the top-1 accuracy of each function, in percent.

    Args:
        runs: functions images (N, C, H, W) -> logits (N, classes), by name. Each batch is
            loaded once for all of them.
        test_set: yields images (N, C, H, W) and labels (N,).
    """
    correct, total = dict.fromkeys(runs, 0), 0
    for images, labels in test_set:
        total += len(labels)
        for name, run in runs.items():
            correct[name] += int((run(images).argmax(1) == labels).sum())
    return {name: 100 * hits / total for name, hits in correct.items()}

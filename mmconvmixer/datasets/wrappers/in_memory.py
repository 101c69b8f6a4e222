"""Keep small decoded images in memory and return whole batches by indexing."""
import logging
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset

from mmconvmixer._support.progress import Progress
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.image_files import escaped
from mmconvmixer.datasets.wrappers.parts import with_pipelines
from mmconvmixer.datasets.wrappers.skip_unreadable import SkipUnreadable
from mmconvmixer.errors import BadConfig


class InMemory(Dataset):
    """The samples of a dataset, prepared once and kept in one uint8 tensor.

    CIFAR's 50,000 training images take 154 MB. Data loaders fetch whole batches
    (`__getitems__`) and should have `num_workers=0`, since workers would have nothing to do.
    Random transforms belong in the `BatchPreprocessor`, which applies them to every batch; in
    `dataset.pipeline` they would be applied only once.

    Args:
        dataset: config of a map-style dataset whose images all have the same size and whose
            pipeline ends in `PackInputs`.
        on_unreadable: 'skip' leaves out images that can't be decoded and names them in the
            log; 'raise' stops at the first one.

    Attributes:
        images: (N, C, H, W) uint8, in the channel order of the pipeline (BGR).
        labels: (N,) int64.

    Raises:
        BadImage: an image can't be decoded and `on_unreadable` is 'raise'.
        EmptyDataset: no image can be decoded.
        BadConfig: the pipeline makes images of several sizes or not in uint8, or an image
            does not have exactly one label.
    """

    def __init__(self, dataset: dict, on_unreadable: str = 'skip') -> None:
        self._source = SkipUnreadable(build_dataset(dataset), on_unreadable)
        self.metainfo = self._source.metainfo
        self._read()

    @property
    def pipeline(self) -> Callable:
        """The pipeline of the images.

        With another one, which may be random, each image is prepared whenever it is needed.
        """
        return with_pipelines(self._source)[0].pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Callable) -> None:
        print_log('InMemory got another pipeline: from now on it reads and prepares each image '
                  'when it is needed, which is slower', 'current')
        for dataset in with_pipelines(self._source):
            dataset.pipeline = pipeline
        self._is_prepared = False

    def _read(self) -> None:
        source = self._source
        shape = source[0]['inputs'].shape
        if source[0]['inputs'].dtype != torch.uint8:
            raise BadConfig(f'InMemory keeps uint8 images, but its pipeline makes '
                            f'{source[0]["inputs"].dtype}; leave normalization to the '
                            'data_preprocessor')
        # Filled in place, because a list of tensors and their stack take twice the memory.
        images = torch.empty(len(source), *shape, dtype=torch.uint8)
        labels, self._paths, self._kept, unreadable = [], [], [], []
        progress = Progress('reading', len(source), 'images')
        for number in range(len(source)):
            image, sample = itemgetter('inputs', 'data_samples')(source[number])
            skipped = sample.get('unreadable')
            if skipped:  # this is the image of another sample, standing in
                unreadable.append(skipped[0])
                continue
            if image.shape != shape:
                raise BadConfig(
                    f'InMemory keeps images of one size, but {sample.get("img_path")} is '
                    f'{tuple(image.shape)} and the first image {tuple(shape)}; add a Resize to '
                    'the pipeline')
            images[len(labels)] = image
            if 'gt_label' not in sample or len(sample.gt_label) != 1:
                raise BadConfig(f'InMemory keeps one label per image, but '
                                f'{sample.get("img_path")} has '
                                f'{sample.get("gt_label", "none")}')
            labels.append(int(sample.gt_label))
            self._kept.append(number)
            self._paths.append(sample.get('img_path'))
            progress.update(number + 1)
        self.images, self.labels = images[:len(labels)], torch.tensor(labels)
        self._is_prepared = True
        if unreadable:
            print_log(f'{len(unreadable)} images could not be read and are left out: '
                      f'{", ".join(map(escaped, unreadable))}', 'current', logging.WARNING)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        """Return `inputs` (C, H, W) and `data_samples`, one `DataSample`."""
        if not self._is_prepared:
            return self._source[self._kept[index]]
        batch = self.__getitems__([index])
        return dict(inputs=batch['inputs'][0], data_samples=batch['data_samples'][0])

    def __getitems__(self, indices: Sequence[int]) -> dict:
        """Return a batch: `inputs` (B, C, H, W) and `data_samples`, a list."""
        if not self._is_prepared:
            return pseudo_collate([self[int(index)] for index in indices])
        chosen = torch.tensor([int(index) for index in indices])
        labels = self.labels[chosen].split(1)
        samples = []
        for index, label in zip(chosen.tolist(), labels, strict=True):
            sample = DataSample(metainfo=dict(sample_idx=index, img_path=self._paths[index]))
            sample.set_field(label, 'gt_label', dtype=torch.Tensor)
            samples.append(sample)
        return dict(inputs=self.images[chosen], data_samples=samples)


def is_in_memory(dataset_cfg: Any) -> bool:
    """Return whether a dataset, or the config of one, is an `InMemory`."""
    if not isinstance(dataset_cfg, dict):
        return isinstance(dataset_cfg, InMemory)
    kind = dataset_cfg.get('type')
    return (DATASETS.get(kind) if isinstance(kind, str) else kind) is InMemory


def identity_collate(batch: dict) -> dict:
    """Collate for data loaders whose dataset returns whole batches: return the batch."""
    return batch

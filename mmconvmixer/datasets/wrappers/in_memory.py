"""Small images, decoded once and kept: whole batches come out by one index."""
import logging
from collections.abc import Sequence
from operator import itemgetter

import torch
from mmengine.logging import print_log
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset

from mmconvmixer._support.progress import Progress
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.wrappers.skip_unreadable import SkipUnreadable
from mmconvmixer.errors import BadConfig


class InMemory(Dataset):
    """The samples of a dataset, prepared once, as one uint8 tensor.

    CIFAR's 50,000 training images take 154 MB. A loader gets whole batches
    (`__getitems__`) and should have `num_workers=0`: there is nothing left to
    do for others. Random transforms belong to the `BatchPreprocessor`, which
    draws anew for every batch; in `dataset.pipeline` they would be drawn once.

    Args:
        dataset: config of a map-style dataset whose images have one size and
            whose pipeline ends in `PackInputs`.
        on_unreadable: 'skip' leaves out images that can't be decoded and
            names them in the log, 'raise' stops at the first.

    Attributes:
        images: (N, C, H, W) uint8, in the channel order of the pipeline (BGR).
        labels: (N,) int64.

    Raises:
        BadImage: on_unreadable='raise' and an image can't be decoded.
        EmptyDataset: not one image can be decoded.
        BadConfig: images of several sizes.
    """

    def __init__(self, dataset: dict, on_unreadable: str = 'skip'):
        source = SkipUnreadable(build_dataset(dataset), on_unreadable)
        self.metainfo = source.metainfo
        shape = source[0]['inputs'].shape
        if source[0]['inputs'].dtype != torch.uint8:
            raise BadConfig(f'InMemory keeps uint8 images, but its pipeline makes '
                            f'{source[0]["inputs"].dtype}; leave normalization to the '
                            'data_preprocessor')
        # Filled in place: a list of tensors and their stack would take twice as much.
        images = torch.empty(len(source), *shape, dtype=torch.uint8)
        labels, self._paths, unreadable = [], [], []
        progress = Progress('reading', len(source), 'images')
        for number in range(len(source)):
            image, sample = itemgetter('inputs', 'data_samples')(source[number])
            skipped = sample.get('unreadable')
            if skipped:  # what came instead is another sample's image
                unreadable.append(skipped[0])
                continue
            if image.shape != shape:
                raise BadConfig(
                    f'InMemory keeps images of one size, but {sample.get("img_path")} is '
                    f'{tuple(image.shape)} where the first is {tuple(shape)}; add a Resize to '
                    'its pipeline')
            images[len(labels)] = image
            if 'gt_label' not in sample or len(sample.gt_label) != 1:
                raise BadConfig(f'InMemory keeps one label for an image, but '
                                f'{sample.get("img_path")} has '
                                f'{sample.get("gt_label", "none")}')
            labels.append(int(sample.gt_label))
            self._paths.append(sample.get('img_path'))
            progress.update(number + 1)
        self.images, self.labels = images[:len(labels)], torch.tensor(labels)
        if unreadable:
            print_log(f'{len(unreadable)} images could not be read and are left out: '
                      f'{", ".join(unreadable)}', 'current', logging.WARNING)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        """Return `inputs` (C, H, W) and `data_samples`, one `DataSample`."""
        batch = self.__getitems__([index])
        return dict(inputs=batch['inputs'][0], data_samples=batch['data_samples'][0])

    def __getitems__(self, indices: Sequence[int]) -> dict:
        """Return a batch: `inputs` (B, C, H, W) and `data_samples`, a list."""
        chosen = torch.tensor([int(index) for index in indices])
        labels = self.labels[chosen].split(1)
        samples = []
        for index, label in zip(chosen.tolist(), labels, strict=True):
            sample = DataSample(metainfo=dict(sample_idx=index, img_path=self._paths[index]))
            sample.set_field(label, 'gt_label', dtype=torch.Tensor)
            samples.append(sample)
        return dict(inputs=self.images[chosen], data_samples=samples)


def is_in_memory(dataset_cfg) -> bool:
    """Whether a dataset, or the config of one, is `InMemory`."""
    if not isinstance(dataset_cfg, dict):
        return isinstance(dataset_cfg, InMemory)
    kind = dataset_cfg.get('type')
    return (DATASETS.get(kind) if isinstance(kind, str) else kind) is InMemory


def identity_collate(batch: dict) -> dict:
    """The collate function of loaders whose dataset hands out whole batches."""
    return batch

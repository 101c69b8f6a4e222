"""What every dataset around a dataset needs."""
from typing import Any

from mmconvmixer.datasets.build import build_dataset


class DatasetWrapper:
    """A dataset that hands on all but its samples: length, metainfo, annotations.

    Args:
        dataset: a map-style dataset, or its config.
    """

    def __init__(self, dataset):
        self.dataset = build_dataset(dataset) if isinstance(dataset, dict) else dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # 'dataset' is not there yet while unpickling; a loader that finds the inner
        # dataset's __getitems__ would pass the wrapper by.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

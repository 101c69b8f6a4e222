"""The base of the datasets that wrap another dataset."""
from typing import Any

from mmconvmixer.datasets.build import build_dataset


class DatasetWrapper:
    """A dataset with the length, metainfo and annotations of the one it wraps.

    Subclasses define the samples.

    Args:
        dataset: a map-style dataset, or its config.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = build_dataset(dataset) if isinstance(dataset, dict) else dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # While unpickling, 'dataset' does not exist yet. And a data loader that found the
        # inner dataset's __getitems__ would bypass the wrapper.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

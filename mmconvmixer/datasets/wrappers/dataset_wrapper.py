"""The base of the datasets that wrap another dataset."""
from typing import Any

from mmconvmixer.datasets.build import build_dataset


class DatasetWrapper:
    """A dataset that stands in for the one it wraps, and changes only its samples.

    Every attribute is that of the wrapped dataset, to read and to assign: a hook that assigns
    `runner.train_dataloader.dataset.pipeline` changes the pipeline that makes the samples, and
    `.dataset` of a wrapped RepeatDataset is the dataset that it repeats. Subclasses define the
    samples, and keep their own attributes with `own`.

    Args:
        dataset: a map-style dataset, or its config.
    """

    def __init__(self, dataset: Any) -> None:
        self.own(wrapped=build_dataset(dataset) if isinstance(dataset, dict) else dataset)

    def own(self, **attributes: Any) -> None:
        """Set attributes of this wrapper, and not of the wrapped dataset."""
        vars(self).update(attributes)

    @property
    def dataset(self) -> Any:
        """What the wrapped dataset wraps, or that dataset if it is not a wrapper itself."""
        return getattr(self.wrapped, 'dataset', self.wrapped)

    def __len__(self) -> int:
        return len(self.wrapped)

    def __getattr__(self, name: str) -> Any:
        # While unpickling, 'wrapped' does not exist yet. And a data loader that found the
        # inner dataset's __getitems__ would bypass the wrapper.
        if name == 'wrapped' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == 'dataset' and not hasattr(self.wrapped, 'dataset'):
            self.own(wrapped=value)
        else:
            setattr(self.wrapped, name, value)

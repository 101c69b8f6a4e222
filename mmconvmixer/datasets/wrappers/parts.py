"""The datasets inside a dataset, and whether they changed."""
from collections.abc import Iterator
from typing import Any

from mmconvmixer.datasets.wrappers.dataset_wrapper import DatasetWrapper


def layers(dataset: Any) -> Iterator[Any]:
    """Yield a dataset and all datasets that it wraps or joins, from the outside in."""
    yield dataset
    if isinstance(dataset, DatasetWrapper):
        inner = [vars(dataset)['wrapped']]
    else:
        inner = vars(dataset).get('datasets') or [vars(dataset).get('dataset')]
    for each in inner:
        if hasattr(each, '__getitem__') and hasattr(each, '__dict__'):
            yield from layers(each)


def with_pipelines(dataset: Any) -> list[Any]:
    """Return the datasets inside a dataset that have a pipeline of their own."""
    return [each for each in layers(dataset) if 'pipeline' in vars(each)]


class Changes:
    """Whether a dataset's attributes, or the transforms of its pipelines, were exchanged.

    Processes of a data loader work with a copy of the dataset, and see no change.

    Args:
        dataset: with everything that it wraps.
    """

    def __init__(self, dataset: Any) -> None:
        self._seen = _state(dataset)

    def since(self, dataset: Any) -> bool:
        """Return whether the dataset differs from the one that was seen before."""
        now = _state(dataset)
        return len(now) != len(self._seen) or any(
            name != seen or value is not kept
            for (name, value), (seen, kept) in zip(now, self._seen, strict=True))


def _state(dataset: Any) -> list[tuple[str, Any]]:
    state = []
    for layer in layers(dataset):
        state += vars(layer).items()
        transforms = getattr(vars(layer).get('pipeline'), 'transforms', ())
        state += [('', transform) for transform in transforms]
    return state

"""Samplers that can begin in the middle of a pass over the data."""
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.dist import get_dist_info
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


class ResumableSampler(Sampler):
    """A sampler whose next pass can begin after some of its draws.

    Args:
        sampler: config of the inner sampler, e.g. `dict(type='DefaultSampler', shuffle=True)`.
        dataset, seed: arguments of the inner sampler, which the runner fills in.
    """

    def __init__(self, sampler: dict, dataset: Any, seed: int | None) -> None:
        self._config, self._dataset = sampler, dataset
        self._skipped = 0
        self._epoch: int | None = None
        self.sampler = DATA_SAMPLERS.build(sampler, default_args=dict(dataset=dataset, seed=seed))

    def __iter__(self) -> Iterator[int]:
        skipped, epoch = self._skipped, self._epoch
        self._skipped, self._epoch = 0, None
        if epoch is not None:
            self.set_epoch(epoch)
        yield from islice(self._indices(), skipped, None)

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Tell the inner sampler the epoch, if it has `set_epoch`."""
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def skip(self, draws: int, epoch: int | None = None) -> None:
        """Let the next pass begin after some draws.

        Args:
            draws: of this process.
            epoch: of that pass, whatever `set_epoch` says before it begins; None to follow
                `set_epoch`.
        """
        self._skipped, self._epoch = draws, epoch

    def restart(self) -> None:
        """Forget all draws, also of a sampler that goes on from pass to pass."""
        # The same order again also if the seed was drawn when there was none.
        seed = getattr(self.sampler, 'seed', None)
        self.sampler = DATA_SAMPLERS.build(
            self._config, default_args=dict(dataset=self._dataset, seed=seed))

    def _indices(self) -> Iterator[int]:
        return iter(self.sampler)


class StampedIndex(int):
    """The index of a sample, with the epoch and the position in which it was drawn."""

    stamp = (0, 0)


class StampedSampler(ResumableSampler):
    """A sampler whose indices are stamped with the epoch and the position of the draw.

    The indices bring both to the loader processes, which live longer than an epoch and have
    no other way to know them.
    """

    def _indices(self) -> Iterator[StampedIndex]:
        rank, world_size = get_dist_info()
        for draw, index in enumerate(self.sampler):
            stamped = StampedIndex(index)
            # The position counts the draws of all processes, so that it does not depend on
            # their number.
            stamped.stamp = getattr(self.sampler, 'epoch', 0), draw * world_size + rank
            yield stamped

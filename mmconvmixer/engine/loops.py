"""mmengine's training loops, which can also go on in the middle of an epoch."""
from collections.abc import Iterable
from itertools import islice
from typing import Any

from mmengine.dist import get_world_size
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import BatchSampler, DataLoader

from mmconvmixer.datasets import ResumableSampler


class EpochBasedTrainLoop(MMEngineEpochBasedTrainLoop):
    """mmengine's loop over epochs, of which the first can begin at any batch.

    Attributes:
        batch: the batches done in the current epoch.
        first_batch: the number of the batch with which the next epoch begins.
    """

    batch = first_batch = 0

    def position(self, epoch: int) -> dict[str, int]:
        """Return where in the data a run is that has finished `epoch` epochs."""
        # CheckpointHook counts an epoch before the loop does.
        batch = self.batch if epoch == self.epoch else 0
        return dict(passes=epoch, batch=batch, batch_size=_batch_size(self.dataloader))

    def go_to(self, position: dict[str, int]) -> None:
        """Begin the next epoch where `position` says."""
        batch = _batches(self.dataloader, position)
        self.batch = self.first_batch = min(batch, len(self.dataloader))

    def run_epoch(self) -> None:
        """Train for what is left of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        first, self.first_batch = self.first_batch, 0
        for number, batch in _from_batch(self.dataloader, first):
            self.batch = number + 1  # hooks save checkpoints at the end of `run_iter`
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.batch = 0


class IterBasedTrainLoop(MMEngineIterBasedTrainLoop):
    """mmengine's loop over iterations, which resumes without loading what it has seen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataloader_iterator = _Passes(self.dataloader_iterator)

    def position(self, _epoch: int) -> dict[str, int]:
        """Return where in the data the run is."""
        batches = self.dataloader_iterator
        return dict(passes=batches.passes, batch=batches.batch,
                    batch_size=_batch_size(self.dataloader))

    def go_to(self, position: dict[str, int]) -> None:
        """Continue where `position` says."""
        batch, sampler = _batches(self.dataloader, position), _sampler(self.dataloader)
        if sampler is None:
            return  # mmengine loads all batches up to this iteration and drops them
        del self.dataloader_iterator  # ends the loader processes, which have read ahead
        sampler.restart()
        # mmengine's DistSamplerSeedHook sets the epoch of the first pass, before each start.
        sampler.skip(batch * (self.dataloader.batch_size or 1), epoch=position['passes'])
        batches = _InfiniteDataloaderIterator(self.dataloader)
        batches._epoch = position['passes']
        self.dataloader_iterator = _Passes(batches, batch, not_loaded=self.iter)


_OWN = {MMEngineEpochBasedTrainLoop: EpochBasedTrainLoop,
        MMEngineIterBasedTrainLoop: IterBasedTrainLoop}


class _Passes:
    """The batches of one pass over the data after the other.

    Args:
        batches: mmengine's iterator, which begins the next pass after each.
        batch: the batches of the current pass before its first one.
        not_loaded: the number of batches to pretend before that.
    """

    def __init__(self, batches: _InfiniteDataloaderIterator, batch: int = 0,
                 not_loaded: int = 0) -> None:
        self._batches, self.batch, self._not_loaded = batches, batch, not_loaded

    @property
    def passes(self) -> int:
        """The passes that are complete."""
        return self._batches._epoch

    def __next__(self) -> Any:
        if self._not_loaded:  # mmengine's loop drops as many batches as there were iterations
            self._not_loaded -= 1
            return None
        passes, batch = self.passes, next(self._batches)
        self.batch = self.batch + 1 if passes == self.passes else 1
        return batch


def _sampler(loader: DataLoader) -> ResumableSampler | None:
    """Return the sampler of a loader that can skip batches: they all have one size."""
    sampler = loader.sampler
    plain = type(loader.batch_sampler) is BatchSampler
    return sampler if plain and isinstance(sampler, ResumableSampler) else None


def _from_batch(loader: DataLoader, first: int) -> Iterable[tuple[int, Any]]:
    """Yield the number and the content of each batch from `first` on."""
    if first and first == len(loader):
        return iter(())
    sampler = _sampler(loader)
    if sampler is None:
        return islice(enumerate(loader), first, None)
    sampler.skip(first * (loader.batch_size or 1))
    return enumerate(loader, first)


def _batch_size(loader: DataLoader) -> int:
    """Return the samples in a batch of all processes; 0 if batches have several sizes."""
    return (loader.batch_size or 0) * get_world_size()


def _batches(loader: DataLoader, position: dict[str, int]) -> int:
    """Return how many of this loader's batches hold the samples up to a position."""
    size = _batch_size(loader)
    if position['batch_size'] in (0, size) or not size:
        return position['batch']
    return position['batch'] * position['batch_size'] // size


def with_own_loop(loop: dict) -> dict:
    """Return the config of a training loop with the loops here in place of mmengine's."""
    kind = loop.get('type')
    if kind is None:
        kind = MMEngineEpochBasedTrainLoop if loop.get('by_epoch') else MMEngineIterBasedTrainLoop
        loop = {key: value for key, value in loop.items() if key != 'by_epoch'}
    elif isinstance(kind, str):
        kind = LOOPS.get(kind) or kind
    return {**loop, 'type': _OWN.get(kind, kind)}

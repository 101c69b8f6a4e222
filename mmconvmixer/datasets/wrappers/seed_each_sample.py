"""Random augmentation that does not depend on who loads which sample when."""
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Sampler, get_worker_info

from mmconvmixer.datasets.wrappers.dataset_wrapper import DatasetWrapper


class StampedIndex(int):
    """A sample's number that knows in which epoch and at which place it was drawn."""

    stamp = (0, 0)


class StampedSampler(Sampler):
    """A sampler whose numbers say when they were drawn.

    They carry it to the loader processes, which outlive epochs and would not
    know otherwise.

    Args:
        sampler: config of the sampler, e.g. `dict(type='DefaultSampler', shuffle=True)`.
        dataset, seed: for the sampler; the runner fills them in.
    """

    def __init__(self, sampler: dict, dataset, seed: int | None):
        self.sampler = DATA_SAMPLERS.build(sampler, default_args=dict(dataset=dataset, seed=seed))

    def __iter__(self) -> Iterator[StampedIndex]:
        rank, world_size = get_dist_info()
        for draw, index in enumerate(self.sampler):
            number = StampedIndex(index)
            # The place among all processes' draws: the same however many they are.
            number.stamp = getattr(self.sampler, 'epoch', 0), draw * world_size + rank
            yield number

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


class SeedEachSample(DatasetWrapper):
    """A dataset whose samples are drawn from seeds (run's seed, epoch, place, number).

    So a run repeats with any number of workers and processes, and a resumed
    one goes on as if never stopped: the generators inside loader processes,
    which no checkpoint can reach, carry nothing from sample to sample.

    Args:
        dataset: a map-style dataset or its config; `StampedSampler` samples it.
        seed: of the run.
    """

    def __init__(self, dataset, seed: int):
        super().__init__(dataset)
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        key = self.seed, *getattr(index, 'stamp', (0, 0)), int(index)
        words = np.random.SeedSequence(key).generate_state(3)
        if get_worker_info() is not None:
            _seed(words)
            return self.dataset[int(index)]
        with _generators_kept():
            _seed(words)
            return self.dataset[int(index)]


def _seed(words: np.ndarray) -> None:
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.default_generator.manual_seed(int(words[2]))


@contextmanager
def _generators_kept() -> Iterator[None]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])

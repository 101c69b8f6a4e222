"""Random augmentation that does not depend on who loads which sample when."""
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info


class SeedEachSample:
    """A dataset whose sample number i of epoch e is drawn from seed (s, e, i).

    So a run repeats with any number of workers and processes, and a resumed
    one goes on as if never stopped: the generators inside loader processes,
    which no checkpoint can reach, carry nothing from sample to sample.

    Args:
        dataset: a map-style dataset.
        seed: of the run.
    """

    def __init__(self, dataset, seed: int):
        self.dataset = dataset
        self.seed = seed
        # Shared, so that loader processes that outlive an epoch see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':  # not there yet while unpickling
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitem__(self, index: int) -> Any:
        words = np.random.SeedSequence((self.seed, int(self._epoch), index)).generate_state(3)
        if get_worker_info() is not None:
            _seed(words)
            return self.dataset[index]
        with _generators_kept():
            _seed(words)
            return self.dataset[index]


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

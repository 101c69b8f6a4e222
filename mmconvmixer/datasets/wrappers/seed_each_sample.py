"""Random augmentation that does not depend on the number of workers and processes."""
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from mmconvmixer.datasets.wrappers.dataset_wrapper import DatasetWrapper


class SeedEachSample(DatasetWrapper):
    """A dataset that seeds the generators for each sample: by run, epoch, position and index.

    A run then gives the same result with any number of workers and processes, and a resumed
    run continues exactly. The generators inside loader processes can't be saved in a
    checkpoint, so nothing may depend on what they drew before.

    Args:
        dataset: a map-style dataset, or its config, which `StampedSampler` samples.
        seed: the seed of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        super().__init__(dataset)
        self.own(run_seed=seed)

    def __getitem__(self, index: int) -> Any:
        key = self.run_seed, *getattr(index, 'stamp', (0, 0)), int(index)
        words = np.random.SeedSequence(key).generate_state(3)
        if get_worker_info() is not None:
            _seed(words)
            return self.wrapped[int(index)]
        with _kept_generators():
            _seed(words)
            return self.wrapped[int(index)]


def _seed(words: np.ndarray) -> None:
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.default_generator.manual_seed(int(words[2]))


@contextmanager
def _kept_generators() -> Iterator[None]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])

"""The data loaders of a run: samples seeded one by one, corrupt images skipped."""
from collections.abc import Callable
from functools import partial

import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmconvmixer.datasets import ResumableSampler, SeedEachSample, SkipUnreadable, StampedSampler
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.wrappers.in_memory import InMemory, identity_collate
from mmconvmixer.engine.hooks.stop_hook import shield_loader_process
from mmconvmixer.engine.resources import send_exhaustion


def build_data_loader(options: dict, run_seed: int, on_unreadable: str, seed: int | None,
                      diff_rank_seed: bool) -> DataLoader:
    """Build a loader whose samples do not depend on the number of processes that load them.

    Args:
        options: the loader's config; `dataset` in it may be built already.
        run_seed: seed of the run, from which each sample's seed is made.
        on_unreadable: 'skip' or 'raise'; see `SkipUnreadable`.
        seed: see mmengine's `Runner.build_dataloader`.
        diff_rank_seed: see mmengine's `Runner.build_dataloader`.
    """
    dataset, changes = options['dataset'], {}
    if isinstance(dataset, dict):
        dataset = build_dataset(dataset)
    if isinstance(dataset, InMemory):
        changes.update(collate_fn=dict(type=identity_collate))
        sampler = ResumableSampler
    else:
        dataset = SeedEachSample(SkipUnreadable(dataset, on_unreadable), run_seed)
        sampler = StampedSampler
    changes.update(sampler=dict(type=sampler, sampler=options['sampler']))
    # A function hands the dataset over: mmengine deep-copies everything else in a config.
    changes.update(dataset=dict(type=lambda: dataset))
    loader = Runner.build_dataloader({**options, **changes}, seed, diff_rank_seed)
    # Use a separate generator: otherwise every new iterator draws a number from the
    # run's, and the number of iterators depends on the number of workers.
    loader.generator = torch.Generator().manual_seed(run_seed)
    loader.worker_init_fn = partial(_begin_loader_process, loader.worker_init_fn)
    return loader


def _begin_loader_process(prepare: Callable[[int], None] | None, number: int) -> None:
    shield_loader_process()
    send_exhaustion()
    if prepare is not None:
        prepare(number)

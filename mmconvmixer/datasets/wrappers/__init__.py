"""Datasets around a dataset: kept in memory, seeded sample by sample, without corrupt images."""
from mmconvmixer.datasets.wrappers.in_memory import InMemory
from mmconvmixer.datasets.wrappers.resumable_sampler import ResumableSampler, StampedSampler
from mmconvmixer.datasets.wrappers.seed_each_sample import SeedEachSample
from mmconvmixer.datasets.wrappers.skip_unreadable import SkipUnreadable

__all__ = ['InMemory', 'ResumableSampler', 'SeedEachSample', 'SkipUnreadable', 'StampedSampler']

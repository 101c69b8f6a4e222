"""Naming the images that could not be read, once, when the work is done."""
import logging
from collections.abc import Iterable, Iterator

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.structures import BaseDataElement


class UnreadableHook(Hook):
    """Collect what `SkipUnreadable` passed over and log it at the end.

    Attributes:
        paths: what has been passed over so far, on this rank.
    """

    def __init__(self):
        self.paths: set[str] = set()

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode='train'):
        if isinstance(data_batch, dict):
            for sample in _flat(data_batch.get('data_samples') or ()):
                self.paths.update(sample.get('unreadable', ()))

    def after_train(self, runner) -> None:
        self._report(runner, 'other images stood in for them')

    def after_test(self, runner) -> None:
        self._report(runner, 'the metrics leave them out')

    def _report(self, runner, consequence: str) -> None:
        paths = sorted(set().union(*all_gather_object(self.paths)))
        if paths and is_main_process():
            runner.logger.log(logging.WARNING, '%d images could not be read; %s: %s',
                              len(paths), consequence, ', '.join(paths))


def _flat(samples: Iterable) -> Iterator[BaseDataElement]:
    """Yield the samples of a batch, test-time augmentation's views one by one."""
    for sample in samples:
        if isinstance(sample, BaseDataElement):
            yield sample
        elif isinstance(sample, list | tuple):
            yield from _flat(sample)

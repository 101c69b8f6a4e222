"""Name the images that could not be read, once, at the end of a run."""
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmconvmixer.datasets.image_files import escaped


class UnreadableHook(Hook):
    """Collect the paths that `SkipUnreadable` skipped and log them at the end.

    Attributes:
        paths: the paths skipped so far on this rank.
    """

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                    outputs: Any = None, mode: str = 'train') -> None:
        if isinstance(data_batch, dict):
            for sample in _flat(data_batch.get('data_samples') or ()):
                self.paths.update(sample.get('unreadable', ()))

    def after_train(self, runner: Runner) -> None:
        """Log the paths that training skipped."""
        self._report(runner, 'other images replaced them')

    def after_test(self, runner: Runner) -> None:
        """Log the paths that testing skipped."""
        self._report(runner, 'the metrics leave them out')

    def _report(self, runner: Runner, consequence: str) -> None:
        paths = sorted(set().union(*all_gather_object(self.paths)))
        if paths and is_main_process():
            runner.logger.log(logging.WARNING, '%d images could not be read; %s: %s',
                              len(paths), consequence, ', '.join(map(escaped, paths)))


def _flat(samples: Iterable) -> Iterator[BaseDataElement]:
    """Yield the samples of a batch; with test-time augmentation, each view of them."""
    for sample in samples:
        if isinstance(sample, BaseDataElement):
            yield sample
        elif isinstance(sample, list | tuple):
            yield from _flat(sample)

"""Naming the pictures that could not be read, once, when the work is done."""
import logging

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook


class UnreadableHook(Hook):
    """Collect what `SkipUnreadable` passed over and log it at the end.

    Attributes:
        paths: what has been passed over so far, on this rank.
    """

    def __init__(self):
        self.paths: set[str] = set()

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode='train'):
        for sample in (data_batch or {}).get('data_samples') or ():
            self.paths.update(sample.get('unreadable', ()))

    def after_train(self, runner) -> None:
        self._report(runner, 'other pictures stood in for them')

    def after_test(self, runner) -> None:
        self._report(runner, 'the metrics leave them out')

    def _report(self, runner, consequence: str) -> None:
        paths = sorted(set().union(*all_gather_object(self.paths)))
        if paths and is_main_process():
            runner.logger.log(logging.WARNING, '%d pictures could not be read; %s: %s',
                              len(paths), consequence, ', '.join(paths))

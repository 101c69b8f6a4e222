"""Let the processes of the training data loader see changes of the dataset."""
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmconvmixer.datasets.wrappers.parts import Changes


class FreshWorkersHook(Hook):
    """Start persistent loader processes again when a hook has changed the dataset.

    They work with a copy from their start. A change in the middle of an epoch holds from the
    next one on, as without persistent processes.
    """

    priority = 'LOWEST'  # after the hooks that exchange pipelines

    def __init__(self) -> None:
        self._changes: Changes | None = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Compare before the loader begins its epoch."""
        self._compare(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Compare: a loop by iterations has no epochs."""
        self._compare(runner)

    def _compare(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        if not getattr(loader, 'persistent_workers', False):
            return
        if self._changes is None or self._changes.since(loader.dataset):
            self._changes = Changes(loader.dataset)
            loader._iterator = None

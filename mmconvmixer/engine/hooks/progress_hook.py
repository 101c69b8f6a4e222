"""Log the progress and the remaining time of every loop."""
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmconvmixer._support.progress import Progress


class ProgressHook(Hook):
    """Log `Progress` lines while training, validating and testing.

    mmengine's `LoggerHook` logs after a number of iterations, which can take minutes on a slow
    machine. This hook logs after a number of seconds.
    """

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        loop = getattr(runner, f'{mode}_loop')
        task, batches = mode, len(loop.dataloader)
        if isinstance(loop, IterBasedTrainLoop):
            batches = loop.max_iters
        elif mode == 'train':
            task = f'train epoch {runner.epoch + 1}/{runner.max_epochs}'
        self._progress = Progress(task, batches, 'batches', say=runner.logger.info)

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                    outputs: Any = None, mode: str = 'train') -> None:
        if is_main_process():
            self._progress.update(batch_idx + 1)

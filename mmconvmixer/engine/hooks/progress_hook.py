"""Progress and ETA of every loop, however few its iterations."""
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmconvmixer._support.progress import Progress


class ProgressHook(Hook):
    """Log `Progress` lines while training, validating and testing.

    mmengine's LoggerHook counts iterations, and a slow machine can be silent
    for minutes between two of its lines; this one looks at the clock.
    """

    def _before_epoch(self, runner, mode: str = 'train') -> None:
        loop = getattr(runner, f'{mode}_loop')
        task, batches = mode, len(loop.dataloader)
        if isinstance(loop, IterBasedTrainLoop):
            batches = loop.max_iters
        elif mode == 'train':
            task = f'train epoch {runner.epoch + 1}/{runner.max_epochs}'
        self._progress = Progress(task, batches, 'batches', say=runner.logger.info)

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None,
                    mode: str = 'train') -> None:
        if is_main_process():
            self._progress.update(batch_idx + 1)

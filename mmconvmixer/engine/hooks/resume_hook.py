"""Resume where a run was stopped: at a batch, or before a validation."""
import logging

from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, Runner

from mmconvmixer.engine.hooks.record_hook import RecordHook


class ResumeHook(Hook):
    """Save the position in the data with each checkpoint, and go back to it on resume.

    A checkpoint is saved before the validation that is due at its epoch or iteration. If
    the run did not complete that validation, the resumed run does it first: otherwise the
    epoch would have no metrics and could not become the best checkpoint.
    """

    # `before_train` comes after that of all other hooks, which validation needs.
    priority = 'LOWEST'

    def __init__(self, record: RecordHook) -> None:
        self._record = record
        self._resumed: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the position in the data."""
        if hasattr(runner.train_loop, 'position'):
            checkpoint['position'] = runner.train_loop.position(checkpoint['meta']['epoch'])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the position of a checkpoint that is resumed, until training begins."""
        if runner._resume:
            self._resumed = checkpoint.get('position', {})

    def before_train(self, runner: Runner) -> None:
        """Go to the position, and do the validation that was not completed."""
        if self._resumed is None:
            return
        loop = runner.train_loop
        if self._resumed and hasattr(loop, 'go_to'):
            loop.go_to(self._resumed)
        elif _inside_epoch(runner, self._resumed):
            print_log(f'The checkpoint was saved inside epoch {runner.epoch + 1}, which begins '
                      'again: the weights will not be those of an uninterrupted run.', 'current',
                      logging.WARNING)
        for hook in runner.hooks:
            if isinstance(hook, EarlyStoppingHook):  # mmengine does not save what it counts
                for entry in self._record.history:
                    if 'metrics' in entry:
                        hook.after_val_epoch(runner, entry['metrics'])
        if _validation_is_due(runner) and not self._record.validated:
            self._validate(runner)

    def _validate(self, runner: Runner) -> None:
        print_log('The run was stopped before its validation was complete.', 'current')
        # As they are after the last iteration of training: backends of the log count from
        # there.
        runner.message_hub.update_info('iter', runner.iter - 1)
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            runner.message_hub.update_info('epoch', runner.epoch - 1)
        runner.val_loop.run()


def _inside_epoch(runner: Runner, position: dict) -> bool:
    if position:
        return position['batch'] > 0
    loop = runner.train_loop
    return (not isinstance(loop, IterBasedTrainLoop)
            and loop.iter != loop.epoch * len(loop.dataloader))


def _validation_is_due(runner: Runner) -> bool:
    """Whether the loop would validate at the point where the run is."""
    loop = runner.train_loop
    if runner.val_loop is None or not hasattr(loop, 'val_interval'):
        return False
    if isinstance(loop, IterBasedTrainLoop):
        done, end = loop.iter, loop.max_iters
    else:
        if getattr(loop, 'first_batch', 0):
            return False
        done, end = loop.epoch, loop.max_epochs
    loop._decide_current_val_interval()
    return done >= max(loop.val_begin, 1) and (done % loop.val_interval == 0 or done == end)

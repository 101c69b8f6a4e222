"""Keep the random number generators in checkpoints, so that resumed runs continue exactly."""
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmconvmixer.engine.random_state import random_state, set_random_state


class RandomStateHook(Hook):
    """Save the generators of every rank with each checkpoint and restore them on resume.

    Validation does not advance the generators: otherwise a run that is resumed just before a
    validation would draw other numbers than one that was never stopped.
    """

    def __init__(self) -> None:
        self._resumed: dict | None = None
        self._before_val: dict | None = None
        self._gathered: list[dict] = []

    def gather(self) -> None:
        """Collect the states of all ranks for the next checkpoint; every rank must call this."""
        self._gathered = all_gather_object(random_state())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the states that `gather` collected."""
        checkpoint['random_states'] = self._gathered

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep this rank's state of a checkpoint that is resumed, until training begins."""
        states = checkpoint.get('random_states')
        if not runner._resume or states is None:
            return
        if len(states) == get_world_size():
            self._resumed = states[get_rank()]
        else:
            print_log(f'The checkpoint was saved by {len(states)} processes, but this run has '
                      f'{get_world_size()}: random numbers start over from the seed.', 'current')

    def before_train(self, runner: Runner) -> None:
        """Restore the state of the checkpoint that is resumed."""
        if self._resumed is not None:
            set_random_state(self._resumed)

    def before_val(self, runner: Runner) -> None:
        """Remember the state in which training continues."""
        self._before_val = random_state()

    # Not after_val: CheckpointHook saves the best epoch before after_val is called.
    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Return to the state from before the validation."""
        set_random_state(self._before_val)

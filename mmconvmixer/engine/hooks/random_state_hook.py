"""Keep the state of each process in checkpoints, so that resumed runs continue exactly."""
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from mmconvmixer.engine.random_state import random_state, set_random_state


class RandomStateHook(Hook):
    """Save the generators of every rank with each checkpoint and restore them on resume.

    Between two steps of an optimizer that accumulates gradients, each rank's gradients are
    saved and restored as well.

    Validation does not advance the generators: otherwise a run that is resumed just before a
    validation would draw other numbers than one that was never stopped.
    """

    def __init__(self) -> None:
        self._resumed: dict | None = None
        self._before_val: dict | None = None
        self._gathered: list[dict] = []

    def gather(self, runner: Runner) -> None:
        """Collect the states of all ranks for the next checkpoint; every rank must call this."""
        # While a validation runs, training's state is the one from before it.
        own = dict(self._before_val or random_state(), gradients=_accumulated(runner))
        self._gathered = all_gather_object(own)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the states that `gather` collected."""
        if 'optimizer' not in checkpoint:  # nothing resumes from it
            for state in self._gathered:
                state['gradients'] = {}
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
        if self._resumed is None:
            return
        set_random_state(self._resumed)
        model, gradients = _unwrapped(runner), self._resumed.get('gradients') or {}
        for name, gradient in gradients.items():
            parameter = model.get_parameter(name)
            parameter.grad = gradient.to(parameter)

    def before_val(self, runner: Runner) -> None:
        """Remember the state in which training continues."""
        self._before_val = random_state()

    # Not after_val: CheckpointHook saves the best epoch before after_val is called.
    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Return to the state from before the validation."""
        set_random_state(self._before_val)
        self._before_val = None


def _accumulated(runner: Runner) -> dict[str, Tensor]:
    """Return the gradients that the next step of the optimizer will use, by name."""
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    if all(each.should_update() for each in wrappers if hasattr(each, 'should_update')):
        return {}
    return {name: parameter.grad.cpu() for name, parameter in _unwrapped(runner).named_parameters()
            if parameter.grad is not None}


def _unwrapped(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model

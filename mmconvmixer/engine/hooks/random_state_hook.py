"""Random generators, kept in checkpoints so that a resumed run goes on exactly."""
import random

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log


def random_state() -> dict:
    """Return the state of this process's generators as plain data and tensors."""
    algorithm, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, gauss_next = random.getstate()
    state = dict(
        python=[version, list(internal), gauss_next],
        numpy=[algorithm, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        torch=torch.get_rng_state())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict) -> None:
    """Put this process's generators where `random_state` found them."""
    version, internal, gauss_next = state['python']
    random.setstate((version, tuple(internal), gauss_next))
    algorithm, keys, *rest = state['numpy']
    np.random.set_state((algorithm, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if torch.cuda.is_available() and 'cuda' in state:
        torch.cuda.set_rng_state(state['cuda'].cpu())


class RandomStateHook(Hook):
    """Save every rank's generators with each checkpoint, restore them on resume.

    Validation gets its own stretch of random numbers: what comes after it is
    the same with and without, or a run resumed before it would drift.
    """

    def __init__(self):
        self._resumed: dict | None = None
        self._before_val: dict | None = None
        self._gathered: list[dict] = []

    def gather(self) -> None:
        """Fetch the states of all ranks for the next save; every rank must call."""
        self._gathered = all_gather_object(random_state())

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        checkpoint['random_states'] = self._gathered

    def after_load_checkpoint(self, runner, checkpoint) -> None:
        states = checkpoint.get('random_states')
        if not runner._resume or states is None:
            return
        if len(states) == get_world_size():
            self._resumed = states[get_rank()]
        else:
            print_log(f'the checkpoint was saved by {len(states)} processes, this run has '
                      f'{get_world_size()}: random numbers start anew from the seed', 'current')

    def before_train(self, runner) -> None:
        if self._resumed is not None:
            set_random_state(self._resumed)

    def before_val(self, runner) -> None:
        self._before_val = random_state()

    # Not after_val: CheckpointHook saves the best epoch before that is called.
    def after_val_epoch(self, runner, metrics=None) -> None:
        set_random_state(self._before_val)

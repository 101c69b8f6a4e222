"""The state of a process's random number generators, as a checkpoint can hold it."""
import random

import numpy as np
import torch


def random_state() -> dict:
    """Return the state of Python's, NumPy's and torch's generators as plain data and tensors."""
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
    """Set this process's generators to a state that `random_state` returned."""
    version, internal, gauss_next = state['python']
    random.setstate((version, tuple(internal), gauss_next))
    algorithm, keys, *rest = state['numpy']
    np.random.set_state((algorithm, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if torch.cuda.is_available() and 'cuda' in state:
        torch.cuda.set_rng_state(state['cuda'].cpu())

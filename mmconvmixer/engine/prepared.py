"""What is built and read before a run makes its folder, and handed to the `Runner`."""
import os
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from mmconvmixer.checkpoints import state_dict_of
from mmconvmixer.checkpoints.weights import Weights


@dataclass
class Start:
    """The checkpoint that a run begins with.

    Attributes:
        path: of the file.
        content: all that the file holds.
        weights: those in the file, by mmpretrain's names.
        strict: False loads only what fits, from weights for another network.
        new_head: do not load the head: it is for another task.
        resume: also restore the optimizer, schedules and counters.
    """

    path: str
    content: dict
    weights: Weights
    strict: bool = True
    new_head: bool = False
    resume: bool = False

    @classmethod
    def of(cls, path: str | os.PathLike, content: dict, *, strict: bool = True,
           resume: bool = False) -> 'Start':
        """Return the start from what `read_checkpoint` returned.

        Raises:
            BadCheckpoint: there are no weights in it; see `state_dict_of`.
        """
        return cls(str(path), content, state_dict_of(content, str(path)), strict, resume=resume)


@dataclass
class Prepared:
    """The parts of a run that exist before its `Runner` does.

    Attributes:
        model: the network, not yet wrapped or moved to a device.
        randomness: the arguments of `Runner.set_randomness`, with the seed that was used.
        random_state: of the generators, right after they were seeded and the model
            was built; the run continues from this state.
        start: the checkpoint to begin with; None for the model as it is.
        datasets: by the config keys of their loaders.
        verbose: print the environment, config and hooks, too.
    """

    model: nn.Module
    randomness: dict
    random_state: dict
    start: Start | None = None
    datasets: dict[str, Any] = field(default_factory=dict)
    verbose: bool = False

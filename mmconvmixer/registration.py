"""When mmpretrain's registries and zoo learn of this package: at their first use.

`import mmpretrain` leaves its models and datasets for later, and so does this:
mmengine's registries import their `locations` when somebody first looks
something up. What is put there is in `replacements.py`.
"""
import sys

from mmpretrain.apis.model import ModelHub
from mmpretrain.registry import (
    BATCH_AUGMENTS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
)

from mmconvmixer.zoo import add_to_hub, remove_from_hub

REGISTRIES = (BATCH_AUGMENTS, DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS,
              OPTIM_WRAPPER_CONSTRUCTORS, PARAM_SCHEDULERS, TRANSFORMS, VISBACKENDS)
LOCATION = 'mmconvmixer.replacements'


def register() -> None:
    """Make mmpretrain's registries and model hub find this package's."""
    for registry in REGISTRIES:
        if LOCATION not in registry._locations:
            registry._locations.insert(0, LOCATION)
    if LOCATION in sys.modules or any(registry._imported for registry in REGISTRIES):
        from mmconvmixer import replacements
        replacements.put_in()
    add_to_hub(ModelHub)


def unregister() -> None:
    """Undo `register`: mmpretrain as it was."""
    for registry in REGISTRIES:
        if LOCATION in registry._locations:
            registry._locations.remove(LOCATION)
    if LOCATION in sys.modules:
        sys.modules[LOCATION].take_out()
    remove_from_hub(ModelHub)

"""What importing this package changes in mmpretrain: all of it is here."""
from mmpretrain.apis.model import ModelHub
from mmpretrain.registry import (BATCH_AUGMENTS, DATASETS, HOOKS, MODELS, OPTIM_WRAPPERS,
                                 PARAM_SCHEDULERS, TRANSFORMS)

from mmconvmixer.datasets import (CIFAR10Folder, CIFAR100Folder, Digits, LoadImage,
                                  MixThenErase)
from mmconvmixer.engine import AmpOptimWrapper, CheckpointHook, PiecewiseLinearLR, ShowHook
from mmconvmixer.models import ConvMixer
from mmconvmixer.zoo import add_to_hub

# These names mean something else, or nothing, in plain mmpretrain.
ENTRIES = [
    (MODELS, ConvMixer),
    (OPTIM_WRAPPERS, AmpOptimWrapper),
    (HOOKS, CheckpointHook),
    (HOOKS, ShowHook),
    (PARAM_SCHEDULERS, PiecewiseLinearLR),
    (DATASETS, Digits),
    (DATASETS, CIFAR10Folder),
    (DATASETS, CIFAR100Folder),
    (TRANSFORMS, LoadImage),
    (BATCH_AUGMENTS, MixThenErase),
]

_replaced: list[tuple] = []


def register() -> None:
    """Put this package's classes and zoo where mmpretrain looks them up."""
    if _replaced:
        return
    for registry, cls in ENTRIES:
        _replaced.append((registry, cls.__name__, registry.module_dict.get(cls.__name__)))
        registry.register_module(module=cls, force=True)
    _replaced.append((ModelHub, None, ModelHub._register_mmpretrain_models))
    add_to_hub(ModelHub)


def unregister() -> None:
    """Undo `register`: mmpretrain as it was."""
    while _replaced:
        registry, name, before = _replaced.pop()
        if registry is ModelHub:
            ModelHub._register_mmpretrain_models = before
            ModelHub._models_dict.clear()
            ModelHub._ModelHub__mmpretrain_registered = False
            continue
        del registry.module_dict[name]
        if before is not None:
            registry.register_module(name=name, module=before)

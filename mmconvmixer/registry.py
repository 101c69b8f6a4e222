"""Everything that importing this package changes in mmpretrain and mmengine.

`ENTRIES`: classes in mmpretrain's registries. `zoo.mmengine_loaders.READERS`: how mmengine
reads checkpoints. mmpretrain's `ModelHub` also gets the names of this package's
model-index.yml, replacing mmpretrain's entries with the same names.

`register` imports neither torch nor mmpretrain. It waits until mmpretrain is imported,
and imports the classes only at the first lookup in a registry, which is also when
mmpretrain imports its own.
"""
import threading
import warnings
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from mmconvmixer._support.after_import import after_import

if TYPE_CHECKING:
    from mmengine.registry import Registry

# Registry in mmpretrain.registry, name in it, module that has a class of this name.
# mmpretrain has other classes with these names, or none.
ENTRIES = [
    ('MODELS', 'ConvMixer', 'mmconvmixer.models'),
    ('MODELS', 'FeatureExtractor', 'mmconvmixer.models'),
    ('MODELS', 'MlpMixer', 'mmconvmixer.models'),
    ('MODELS', 'BatchPreprocessor', 'mmconvmixer.datasets'),
    ('MODELS', 'ClsDataPreprocessor', 'mmconvmixer.datasets'),
    ('OPTIMIZERS', 'MuonAdamW', 'mmconvmixer.engine'),
    ('OPTIM_WRAPPERS', 'AmpOptimWrapper', 'mmconvmixer.engine'),
    ('OPTIM_WRAPPERS', 'SAMOptimWrapper', 'mmconvmixer.engine'),
    ('OPTIM_WRAPPERS', 'AmpSAMOptimWrapper', 'mmconvmixer.engine'),
    ('OPTIM_WRAPPER_CONSTRUCTORS', 'LearningRateDecayOptimWrapperConstructor',
     'mmconvmixer.engine'),
    ('OPTIM_WRAPPER_CONSTRUCTORS', 'MuonOptimWrapperConstructor', 'mmconvmixer.engine'),
    ('HOOKS', 'CheckpointHook', 'mmconvmixer.engine'),
    ('HOOKS', 'ShowHook', 'mmconvmixer.engine'),
    ('METRICS', 'CalibrationError', 'mmconvmixer.engine'),
    ('METRICS', 'PerClassAccuracy', 'mmconvmixer.engine'),
    ('PARAM_SCHEDULERS', 'PiecewiseLinearLR', 'mmconvmixer.engine'),
    ('PARAM_SCHEDULERS', 'WarmUpCosineLR', 'mmconvmixer.engine'),
    ('DATASETS', 'CIFAR10Folder', 'mmconvmixer.datasets'),
    ('DATASETS', 'CIFAR100Folder', 'mmconvmixer.datasets'),
    ('DATASETS', 'CustomDataset', 'mmconvmixer.datasets'),
    ('DATASETS', 'Digits', 'mmconvmixer.datasets'),
    ('DATASETS', 'Flowers', 'mmconvmixer.datasets'),
    ('DATASETS', 'ImageFolder', 'mmconvmixer.datasets'),
    ('DATASETS', 'ImageNet', 'mmconvmixer.datasets'),
    ('DATASETS', 'InMemory', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'LoadImage', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'LoadImageFromFile', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'BatchColorJitter', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'BatchRandAugment', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'BatchRandomCrop', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'BatchRandomFlip', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'BatchRandomResizedCrop', 'mmconvmixer.datasets'),
    ('TRANSFORMS', 'ResizeCenterCrop', 'mmconvmixer.datasets'),
    ('BATCH_AUGMENTS', 'MixThenErase', 'mmconvmixer.datasets'),
    ('BATCH_AUGMENTS', 'ResizeBatch', 'mmconvmixer.datasets'),
    ('VISBACKENDS', 'CSVVisBackend', 'mmconvmixer.visualization.csv_backend'),
    ('VISBACKENDS', 'TensorboardVisBackend', 'mmconvmixer.visualization.tensorboard_backend'),
]

_lock = threading.RLock()
_undo = ExitStack()  # what `unregister` calls, newest change first
_done: set[str] = set()  # of 'register', 'classes' and 'names'


def register() -> None:
    """Make mmpretrain use this package's classes, checkpoint reader and names.

    A second call changes nothing.
    """
    with _lock:
        if 'register' in _done:
            return
        _done.add('register')
        _undo.callback(_done.clear)
    try:
        _undo.callback(after_import('mmpretrain.registry', _watch_lookups))
        _undo.callback(after_import('mmpretrain.apis.model', _extend_hub))
    except BaseException:
        unregister()  # the next call tries again
        raise


def unregister() -> None:
    """Undo `register`."""
    with _lock:
        _undo.close()


def import_quietly(name: str) -> ModuleType:
    """Import a module without the warning about an unused operator that mmcv-lite lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformable')
        return import_module(name)


def _watch_lookups(host: ModuleType) -> None:
    """Register the classes before anybody's next lookup in mmpretrain's registries."""
    registries = [getattr(host, name) for name in dict.fromkeys(entry[0] for entry in ENTRIES)]
    for registry in registries:
        # mmengine's own way, a module in the registry's `locations`, needs a module
        # that registers as a side effect of being imported.
        registry.import_from_location = partial(_import_both, registry)
        _undo.callback(delattr, registry, 'import_from_location')
    if any(registry._imported for registry in registries):
        _register_classes()


def _import_both(registry: 'Registry') -> None:
    """Do what a registry does before a lookup, and register the classes."""
    _register_classes()
    type(registry).import_from_location(registry)


def _register_classes() -> None:
    if 'classes' in _done:
        return
    # mmpretrain's classes come first, so that these replace them.
    for module in ('mmpretrain.datasets', 'mmpretrain.engine', 'mmpretrain.models'):
        import_quietly(module)
    from mmengine.runner import CheckpointLoader
    from mmpretrain import registry as host

    from mmconvmixer.zoo.mmengine_loaders import READERS
    # The lock is not held while modules are imported: another thread that is importing
    # one of them could wait for it.
    classes = [getattr(import_module(module), name) for _, name, module in ENTRIES]
    with _lock:
        if 'classes' in _done:
            return
        _undo.callback(setattr, CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
        for scheme, reader in READERS.items():
            CheckpointLoader.register_scheme(scheme, reader, force=True)
        for (registry_name, name, _), cls in zip(ENTRIES, classes, strict=True):
            registry = getattr(host, registry_name)
            if name in registry.module_dict:
                _undo.callback(registry.module_dict.__setitem__, name, registry.module_dict[name])
            else:
                _undo.callback(registry.module_dict.pop, name)
            registry.register_module(name=name, module=cls, force=True)
        _done.add('classes')  # at the end: the first line above does not wait for the lock


def _extend_hub(host: ModuleType) -> None:
    """Add this package's names to mmpretrain's `ModelHub` when it reads its own names.

    It reads them at the first lookup, which takes a second. Importing this package
    should not take that long.
    """
    hub = host.ModelHub
    read_own = hub._register_mmpretrain_models

    def read_both(cls: type) -> None:
        from mmconvmixer.zoo.index import aliases, models
        with _lock:
            read_own()
            if 'names' not in _done:
                added = {**models(), **aliases()}
                _undo.callback(cls._models_dict.update, dict(cls._models_dict))
                _undo.callback(cls._models_dict.clear)
                cls._models_dict.update(added)
                _done.add('names')

    hub._register_mmpretrain_models = classmethod(read_both)
    _undo.callback(setattr, hub, '_register_mmpretrain_models', read_own)

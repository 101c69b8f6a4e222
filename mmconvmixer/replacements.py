"""What this package changes in mmpretrain's registries: all of it is here."""
import logging
import warnings

with warnings.catch_warnings():
    # mmcv-lite says at every import that it lacks an operator nobody here uses.
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformable')
    # First theirs, so that ours come over them.
    import mmpretrain.datasets
    import mmpretrain.engine
    import mmpretrain.models  # noqa: F401

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
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

from mmconvmixer.checkpoints import fetch, has_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.download.http import is_url
from mmconvmixer.datasets import (
    BatchColorJitter,
    BatchPreprocessor,
    BatchRandAugment,
    BatchRandomCrop,
    BatchRandomFlip,
    BatchRandomResizedCrop,
    CIFAR10Folder,
    CIFAR100Folder,
    ClsDataPreprocessor,
    Digits,
    Flowers,
    ImageFolder,
    InMemory,
    LoadImage,
    MixThenErase,
    ResizeCenterCrop,
)
from mmconvmixer.engine import (
    AmpOptimWrapper,
    AmpSAMOptimWrapper,
    CalibrationError,
    CheckpointHook,
    LearningRateDecayOptimWrapperConstructor,
    PerClassAccuracy,
    PiecewiseLinearLR,
    SAMOptimWrapper,
    ShowHook,
    WarmUpCosineLR,
)
from mmconvmixer.models import ConvMixer, FeatureExtractor, MlpMixer
from mmconvmixer.visualization.csv_backend import CSVVisBackend
from mmconvmixer.visualization.tensorboard_backend import TensorboardVisBackend

# These names mean something else, or nothing, in plain mmpretrain.
ENTRIES = [
    (MODELS, ConvMixer),
    (MODELS, FeatureExtractor),
    (MODELS, MlpMixer),
    (MODELS, BatchPreprocessor),
    (MODELS, ClsDataPreprocessor),
    (OPTIM_WRAPPERS, AmpOptimWrapper),
    (OPTIM_WRAPPERS, SAMOptimWrapper),
    (OPTIM_WRAPPERS, AmpSAMOptimWrapper),
    (OPTIM_WRAPPER_CONSTRUCTORS, LearningRateDecayOptimWrapperConstructor),
    (HOOKS, CheckpointHook),
    (HOOKS, ShowHook),
    (METRICS, CalibrationError),
    (METRICS, PerClassAccuracy),
    (PARAM_SCHEDULERS, PiecewiseLinearLR),
    (PARAM_SCHEDULERS, WarmUpCosineLR),
    (DATASETS, CIFAR10Folder),
    (DATASETS, CIFAR100Folder),
    (DATASETS, Digits),
    (DATASETS, Flowers),
    (DATASETS, ImageFolder),
    (DATASETS, InMemory),
    (TRANSFORMS, LoadImage),
    (TRANSFORMS, BatchColorJitter),
    (TRANSFORMS, BatchRandAugment),
    (TRANSFORMS, BatchRandomCrop),
    (TRANSFORMS, BatchRandomFlip),
    (TRANSFORMS, BatchRandomResizedCrop),
    (TRANSFORMS, ResizeCenterCrop),
    (BATCH_AUGMENTS, MixThenErase),
    (VISBACKENDS, CSVVisBackend),
    (VISBACKENDS, TensorboardVisBackend),
]

_before: list[tuple] = []


# mmengine's readers of local files and URLs, which `init_cfg` and mmpretrain's own
# get_model use: they fail on mmengine's checkpoints, or run what is in the file.
READERS = ('', 'http://', 'https://')

_before_readers: dict = {}


def _read(filename: str, map_location=None, **kwargs) -> dict:
    path = fetch(filename) if is_url(filename) else filename
    checkpoint = read_checkpoint(path, map_location or 'cpu')
    if not has_weights(checkpoint):
        return checkpoint
    weights = state_dict_of(checkpoint, filename)
    if weights.numerics:
        print_log(f'{filename} comes from {weights.numerics}, which computes a little otherwise '
                  '(docs/checkpoints.md); load_from and get_model follow it, this does not',
                  'current', logging.WARNING)
    return {**checkpoint, 'state_dict': dict(weights)}


def put_in() -> None:
    """Register `ENTRIES` and `READERS`, over entries of the same names."""
    if _before:
        return
    _before_readers.update(CheckpointLoader._schemes)
    CheckpointLoader.register_scheme(READERS, loader=_read, force=True)
    for registry, cls in ENTRIES:
        _before.append((registry, cls.__name__, registry.module_dict.get(cls.__name__)))
        registry.register_module(module=cls, force=True)


def take_out() -> None:
    """Undo `put_in`."""
    if _before_readers:
        CheckpointLoader._schemes = dict(_before_readers)
        _before_readers.clear()
    while _before:
        registry, name, theirs = _before.pop()
        del registry.module_dict[name]
        if theirs is not None:
            registry.register_module(name=name, module=theirs)


put_in()

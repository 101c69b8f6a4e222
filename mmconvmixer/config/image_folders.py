"""Replace a config's data with a folder of images: `--data DIR` of the tools.

DIR holds one folder per class, or the folders `train`, `val` (or `valid`, `validation`)
and `test`, each with one folder per class. If there is no val folder, a fixed tenth of
each class of the training images is held out (`datasets.split.held_out`). We never
validate on the test set.
"""
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmpretrain.registry import DATASETS

from mmconvmixer.datasets.class_folders import list_classes
from mmconvmixer.datasets.class_names import labels_of
from mmconvmixer.datasets.image_files import (
    IMAGE_SUFFIXES,
    class_folders,
    describe_left_out,
    printable,
)
from mmconvmixer.datasets.parts_of_config import innermost, only_pipeline
from mmconvmixer.datasets.split import held_out
from mmconvmixer.errors import BadConfig, DatasetNotFound, EmptyDataset

_VAL_NAMES = ('val', 'valid', 'validation')


@dataclass(frozen=True)
class Part:
    """A subset of a folder's images, given by arguments of `ImageFolder`."""

    data_prefix: str
    part: str = 'all'


@dataclass(frozen=True)
class Parts:
    """The training, validation and test images of a folder.

    Attributes:
        root: the folder.
        classes: class names, in the order of the labels.
        train, val, test: the three subsets.
        counts: numbers of training and validation images.
        left_out: paths of the files and folders that are not images.
    """

    root: Path
    classes: tuple[str, ...]
    train: Part
    val: Part
    test: Part
    counts: tuple[int, int]
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = (f'{self.root}: {len(self.classes)} classes, {self.counts[0]} images to train '
                f'on, {self.counts[1]} to validate on')
        left_out = ''.join(f'; {text}' for text in [describe_left_out(self.left_out)] if text)
        if self.val.part == 'all':
            return f'{text} ({self.val.data_prefix}){left_out}'
        return (f'{text}: there is no val folder, so a tenth of each class is held out, chosen by '
                f'a hash of the file names{left_out}')


def find_parts(folder: str | Path) -> Parts:
    """Return the subsets and classes of a folder.

    Raises:
        DatasetNotFound: the folder does not exist, has no class folders or fewer than
            two classes, or val or test has a class that train lacks.
        EmptyDataset: a class has no training image, or there is no validation image.
    """
    root = Path(folder).expanduser()
    if not os.path.isdir(root):
        raise DatasetNotFound(f'data (--data) is {printable(folder)}, which is not there; give a '
                              'folder that holds one folder per class, or train and val that do')
    train, val, test = _split_folders(root)
    if train is None:
        raise DatasetNotFound(f'{root} has {val or test}, but no train; put the training images '
                              'into train, one folder per class')
    classes = _folders_of(root / train)
    if len(classes) < 2:
        raise DatasetNotFound(f'{root / train} has only one class, {classes[0]}; a classifier '
                              'needs two or more')
    _check_are_classes(root / train, classes)
    images, left_out = list_classes(root / train, classes)
    empty = [name for name, names in images.items() if not names]
    if empty:
        raise EmptyDataset(f'{root / train} has classes without an image: {", ".join(empty[:5])}. '
                           f'Remove the folders or add images ({", ".join(IMAGE_SUFFIXES)})')
    for other in filter(None, (val, test)):
        _check_classes(root / other, classes)
    trained = sum(map(len, images.values()))
    if val:
        validated, more = list_classes(root / val, class_folders(root / val))
        left_out += more
        counts = trained, sum(map(len, validated.values()))
        parts = Part(train), Part(val)
    else:
        out = sum(len(held_out(names)) for names in images.values())
        counts = trained - out, out
        parts = Part(train, 'rest'), Part(train, 'held-out')
    if not counts[1]:
        raise EmptyDataset(f'{root / (val or train)} has no image to validate on; add some')
    return Parts(root, tuple(classes), *parts, Part(test) if test else parts[1], counts,
                 tuple(left_out))


def use_for_training(cfg: Config, parts: Parts) -> None:
    """Replace the images of a config with a folder's, and adapt the head to their classes.

    Only the datasets of the data loaders change; pipelines, wrappers and batch sizes stay.

    Raises:
        BadConfig: the model is not a classifier, or a data loader has no pipeline.
    """
    _use_classes(cfg, parts.classes)
    for name, part in (('train', parts.train), ('val', parts.val), ('test', parts.test)):
        if cfg.get(f'{name}_dataloader'):
            _use_part(cfg, name, parts.root, part, parts.classes)


def use_for_testing(cfg: Config, folder: str | Path, classes: Sequence[str] | None,
                    outputs: int | None = None) -> None:
    """Replace the test images of a config with a folder's.

    These are the images in `test`, or else `val`, or else the held-out tenth: never
    images that were used for training on the same folder.

    Args:
        cfg: config of the run.
        folder: same layout as for training; some classes may be missing, and folders may
            be named in any way that `labels_of` understands.
        classes: class names of the weights. None for those of the config's test set if
            the folders are among them, else for the folders'.
        outputs: the number of classes of the weights, if known.

    Raises:
        DatasetNotFound: the folder does not exist, or has classes that the weights lack.
        BadConfig: see `use_for_training`.
    """
    root = Path(folder).expanduser()
    if not os.path.isdir(root):
        raise DatasetNotFound(f'data (--data) is {printable(folder)}, which is not there; give a '
                              'folder that holds one folder per class, or test or val that do')
    train, val, test = _split_folders(root)
    part = Part(test or val) if test or val else Part(train, 'held-out')
    if classes is None:
        classes = _classes_without_names(cfg, root / part.data_prefix, outputs)
    _check_classes(root / part.data_prefix, classes)
    _use_classes(cfg, classes)
    _use_part(cfg, 'test', root, part, classes)


def class_names(checkpoint: Mapping) -> tuple[str, ...] | None:
    """Return the class names in a checkpoint's meta, None if it has none."""
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    dataset_meta = meta.get('dataset_meta')
    names = dataset_meta.get('classes') if isinstance(dataset_meta, Mapping) else None
    names = names or meta.get('CLASSES')  # mmcls 0.x
    return tuple(names) if isinstance(names, list | tuple) else None


def _split_folders(root: Path) -> tuple[str | None, str | None, str | None]:
    """Return the names of the train, val and test folders, None for missing ones.

    Only folders that contain folders count. If there is none, the training folder
    is `root` itself ('').
    """
    names = {name.lower(): name for name in class_folders(root)}
    val, test = (next((names[name] for name in known
                       if name in names and class_folders(root / names[name])), None)
                 for known in (_VAL_NAMES, ('test',)))
    if 'train' in names and (val or test or class_folders(root / names['train'])):
        return names['train'], val, test
    return None if val or test else '', val, test


def _folders_of(folder: Path) -> list[str]:
    names = class_folders(folder)
    if not names:
        raise DatasetNotFound(f'{folder} has no folders in it; expected one folder per class, with '
                              'its images')
    return names


def _check_are_classes(folder: Path, classes: Sequence[str]) -> None:
    """Refuse subsets of a dataset with unknown names, which would be taken for classes."""
    inside = {tuple(class_folders(folder / name)) for name in classes}
    if len(inside) == 1 and len(*inside) > 1:
        raise DatasetNotFound(f'{folder} has {", ".join(classes)}, each with the same folders in '
                              'it: these look like parts of a dataset, not classes; call them '
                              'train, val and test')


def _classes_without_names(cfg: Config, folder: Path, outputs: int | None) -> Sequence[str]:
    """Return the classes of weights that record no names: the config's, or else the folders."""
    found = _folders_of(folder)
    head = (cfg.model.get('head') or {}).get('num_classes')
    for dataset in innermost(cfg.test_dataloader.dataset):
        kind = dataset.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        classes = (dataset.get('classes') or (dataset.get('metainfo') or {}).get('classes')
                   or getattr(kind, 'METAINFO', {}).get('classes') or ())
        if len(classes) == head and outputs in (None, head) and (
                len(labels_of(found, classes)) == len(found)):
            return classes
    if outputs not in (None, len(found)):
        raise DatasetNotFound(
            f'{folder} has {len(found)} class folders ({", ".join(found[:3])}, ...), but the '
            f'weights have {outputs} classes and no names for them; to test on some of the '
            "classes, name the folders for those of the config's test set")
    return found


def _check_classes(folder: Path, classes: Sequence[str]) -> None:
    found = _folders_of(folder)
    known = labels_of(found, classes)
    strange = [name for name in found if name not in known]
    if strange:
        raise DatasetNotFound(f'{folder} has classes that are not trained: '
                              f'{", ".join(strange[:5])}; known are {", ".join(classes[:5])}'
                              + (', ...' if len(classes) > 5 else ''))


def _use_classes(cfg: Config, classes: Sequence[str]) -> None:
    head = cfg.model.get('head')
    if not head or 'num_classes' not in head:
        raise BadConfig(f'data (--data) needs a classifier, but the model of {cfg.filename} has '
                        'no head with num_classes')
    head.num_classes = len(classes)
    if 'num_classes' in (head.get('loss') or {}):
        head.loss.num_classes = len(classes)
    if 'topk' in head:  # of the accuracy while training, with cal_acc
        head['topk'] = _topk(head['topk'], len(classes))
    # Mixup and CutMix need the number of classes.
    owner = cfg.model if cfg.model.get('data_preprocessor') else cfg
    owner.setdefault('data_preprocessor', {})['num_classes'] = len(classes)
    for name in ('val_evaluator', 'test_evaluator'):
        evaluators = cfg.get(name) or []
        for metric in [evaluators] if isinstance(evaluators, dict) else evaluators:
            if 'topk' in metric:
                metric['topk'] = _topk(metric['topk'], len(classes))


def _topk(topk: int | Sequence[int], classes: int) -> tuple[int, ...]:
    """Return what makes sense: top-5 does not with fewer than six classes."""
    several = [topk] if isinstance(topk, int) else topk
    return tuple(k for k in several if k < classes) or (1,)


def _use_part(cfg: Config, name: str, root: Path, part: Part,
              classes: Sequence[str]) -> None:
    owner = cfg[f'{name}_dataloader']
    pipeline = only_pipeline(owner.dataset, f'{name}_dataloader')
    while 'dataset' in owner.dataset:  # InMemory and other wrappers
        owner = owner.dataset
    owner.dataset = dict(type='ImageFolder', data_root=str(root), **vars(part),
                         classes=list(classes), pipeline=pipeline, test_mode=name != 'train')

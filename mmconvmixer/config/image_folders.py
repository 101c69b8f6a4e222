"""A user's own images in place of a config's data: `--data DIR` of the tools.

DIR holds one folder a class, or `train` and `val` (`valid`, `validation`) and `test` that do.
Where there is no val folder, a tenth of each class of what there is to train on is
held out (`datasets.held_out`), always the same; test images validate nothing.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmconvmixer.datasets.image_files import IMAGE_SUFFIXES, image_files
from mmconvmixer.datasets.image_folder import class_folders
from mmconvmixer.datasets.split import held_out
from mmconvmixer.errors import BadConfig, DatasetNotFound, EmptyDataset

_VAL_NAMES = ('val', 'valid', 'validation')


@dataclass(frozen=True)
class Part:
    """Some of a folder's images, as `ImageFolder` takes them."""
    data_prefix: str
    part: str = 'all'


@dataclass(frozen=True)
class Parts:
    """What a folder has to train on, to validate on and to test on."""
    root: Path
    classes: tuple[str, ...]
    train: Part
    val: Part
    test: Part
    counts: tuple[int, int]  # images of train and val

    def __str__(self) -> str:
        text = (f'{self.root}: {len(self.classes)} classes, {self.counts[0]} images to train '
                f'on, {self.counts[1]} to validate on')
        if self.val.part == 'all':
            return f'{text} ({self.val.data_prefix})'
        return (f'{text}: there is no val folder, so a tenth of each class is held out, chosen by '
                'a hash of the file names')


def find_parts(folder: str | Path) -> Parts:
    """Return the parts and classes of a folder.

    Raises:
        DatasetNotFound: no such folder, no folders of classes in it, less than two
            classes, or a class that only val or test has.
        EmptyDataset: a class without an image to train on, or nothing to validate on.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DatasetNotFound(f'--data {folder} is not there; give a folder that holds one folder '
                              'a class, or train and val that do')
    train, val, test = _split_folders(root)
    if train is None:
        raise DatasetNotFound(f'{root} has {val or test}, but no train; put the images to train '
                              'on there, one folder a class')
    classes = _folders_of(root / train)
    if len(classes) < 2:
        raise DatasetNotFound(f'{root / train} has one class only, {classes[0]}: to tell classes '
                              'apart, it takes two or more')
    _check_are_classes(root / train, classes)
    images = {name: image_files(root / train / name) for name in classes}
    empty = [name for name, names in images.items() if not names]
    if empty:
        raise EmptyDataset(f'{root / train} has classes without an image: {", ".join(empty[:5])}. '
                           f'Remove the folders or add images ({", ".join(IMAGE_SUFFIXES)})')
    for other in filter(None, (val, test)):
        _check_classes(root / other, classes)
    trained = sum(map(len, images.values()))
    if val:
        counts = trained, sum(len(image_files(root / val / name)) for name in classes)
        parts = Part(train), Part(val)
    else:
        out = sum(len(held_out(names)) for names in images.values())
        counts = trained - out, out
        parts = Part(train, 'rest'), Part(train, 'held-out')
    if not counts[1]:
        raise EmptyDataset(f'{root / (val or train)} has no image to validate on; add some')
    return Parts(root, tuple(classes), *parts, Part(test) if test else parts[1], counts)


def use_for_training(cfg, parts: Parts) -> None:
    """Put a folder's images in place of a config's, and make its head one for their classes.

    Of the data loaders only the datasets change; pipelines, wrappers and batch sizes stay.

    Raises:
        BadConfig: no classifier, or a data loader without a pipeline.
    """
    _use_classes(cfg, parts.classes)
    for name, part in (('train', parts.train), ('val', parts.val), ('test', parts.test)):
        if cfg.get(f'{name}_dataloader'):
            _use_part(cfg, name, parts.root, part, parts.classes)


def use_for_testing(cfg, folder: str | Path, classes: Sequence[str] | None) -> None:
    """Put the test images of a folder in place of a config's.

    Those are `test`, else `val`, else the held-out tenth: never images that
    training on the same folder saw.

    Args:
        cfg: config of the run.
        folder: as for training; it may lack some of the classes.
        classes: those that the weights are for; None for the folder's.

    Raises:
        DatasetNotFound: no such folder, or classes that the weights don't know.
        BadConfig: see `use_for_training`.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DatasetNotFound(f'--data {folder} is not there; give a folder that holds one folder '
                              'a class, or test or val that do')
    train, val, test = _split_folders(root)
    part = Part(test or val) if test or val else Part(train, 'held-out')
    if classes is None:
        classes = _folders_of(root / part.data_prefix)
    _check_classes(root / part.data_prefix, classes)
    _use_classes(cfg, classes)
    _use_part(cfg, 'test', root, part, classes)


def class_names(checkpoint: Mapping) -> tuple[str, ...] | None:
    """Return the names of the classes that a checkpoint's head is for, None if it has none."""
    meta = checkpoint.get('meta')
    dataset_meta = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    names = dataset_meta.get('classes') if isinstance(dataset_meta, Mapping) else None
    return tuple(names) if isinstance(names, list | tuple) else None


def _split_folders(root: Path) -> tuple[str | None, str | None, str | None]:
    """Return the folders to train, validate and test on, None for those that are not there.

    A folder counts as one of them if it has folders in it; without any, all of
    `root` ('') is there to train on.
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
        raise DatasetNotFound(f'{folder} has no folders in it; expected one folder a class, with '
                              'its images')
    return names


def _check_are_classes(folder: Path, classes: Sequence[str]) -> None:
    """Refuse parts of a data set under other names, which would train as its classes."""
    inside = {tuple(class_folders(folder / name)) for name in classes}
    if len(inside) == 1 and len(*inside) > 1:
        raise DatasetNotFound(f'{folder} has {", ".join(classes)}, each with the same folders in '
                              'it: these look like parts of a data set, not classes; call them '
                              'train, val and test')


def _check_classes(folder: Path, classes: Sequence[str]) -> None:
    strange = [name for name in _folders_of(folder) if name not in classes]
    if strange:
        raise DatasetNotFound(f'{folder} has classes that are not trained: '
                              f'{", ".join(strange[:5])}; known are {", ".join(classes[:5])}'
                              + (', ...' if len(classes) > 5 else ''))


def _use_classes(cfg, classes: Sequence[str]) -> None:
    head = cfg.model.get('head')
    if not head or 'num_classes' not in head:
        raise BadConfig(f'--data goes with a classifier, but the model of {cfg.filename} has no '
                        'head with num_classes')
    head.num_classes = len(classes)
    if 'num_classes' in (head.get('loss') or {}):
        head.loss.num_classes = len(classes)
    # Mixing images needs the count.
    owner = cfg.model if cfg.model.get('data_preprocessor') else cfg
    owner.setdefault('data_preprocessor', {})['num_classes'] = len(classes)
    for name in ('val_evaluator', 'test_evaluator'):
        evaluators = cfg.get(name) or []
        for metric in [evaluators] if isinstance(evaluators, dict) else evaluators:
            if 'topk' in metric:  # of two classes, five can't be the best
                topk = metric.topk if isinstance(metric.topk, list | tuple) else [metric.topk]
                metric.topk = tuple(k for k in topk if k < len(classes)) or (1,)


def _use_part(cfg, name: str, root: Path, part: Part, classes: Sequence[str]) -> None:
    owner = cfg[f'{name}_dataloader']
    while 'dataset' in owner.dataset:  # InMemory and other wrappers
        owner = owner.dataset
    if 'pipeline' not in owner.dataset:
        raise BadConfig(f'--data keeps the pipeline of {name}_dataloader, but {cfg.filename} has '
                        'none there')
    owner.dataset = dict(type='ImageFolder', data_root=str(root), **vars(part),
                         classes=list(classes), pipeline=owner.dataset.pipeline,
                         test_mode=name != 'train')

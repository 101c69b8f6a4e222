"""What datasets with one folder per class share: the rule for files, and labels by name."""
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log

from mmconvmixer.datasets.class_names import labels_of
from mmconvmixer.datasets.image_files import (
    IMAGE_SUFFIXES,
    class_folders,
    describe_left_out,
    list_images,
    printable,
)
from mmconvmixer.datasets.split import names_in_part
from mmconvmixer.errors import DatasetNotFound, EmptyDataset


def checked_labels(root: Path, classes: Sequence[str]) -> dict[str, int]:
    """Return the label of each class folder, which `labels_of` finds.

    Raises:
        DatasetNotFound: a folder is not one of `classes`.
    """
    found = class_folders(root)
    labels = labels_of(found, classes)
    unknown = [name for name in found if name not in labels]
    if unknown:
        raise DatasetNotFound(
            f'{root} has folders that are not one of the {len(classes)} classes '
            f'({_some(classes)}): {_some(unknown)}. Remove or rename them')
    return labels


def list_classes(root: Path, names: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the images of each class folder in `root`, and the paths of what is left out."""
    listings = {name: list_images(root / name) for name in names}
    left_out = [name for name in list_images(root, recursive=False).left_out
                if name.rstrip('/') not in listings]
    left_out += [f'{name}/{each}' for name, listing in listings.items()
                 for each in listing.left_out]
    return {name: listing.images for name, listing in listings.items()}, left_out


def find_samples(root: Path, labels: Mapping[str, int], part: str = 'all',
                 test_classes: int = 0) -> list[tuple[str, int]]:
    """Return the images in class folders as paths relative to `root`, with their labels.

    What is left out is counted in the log.

    Args:
        root: a local folder that holds one folder per class.
        labels: the label of each folder.
        part: one of `datasets.split.PARTS`.
        test_classes: the number of classes if these images are for measuring, else 0. The
            log then says if some of them have no folder.

    Raises:
        EmptyDataset: there is no image.
    """
    images, left_out = list_classes(root, sorted(labels, key=lambda name: (labels[name], name)))
    samples = [(f'{name}/{image}', labels[name]) for name, found in images.items()
               for image in names_in_part(found, part)]
    if not samples:
        raise EmptyDataset(f'{root} has no images' + (
            f' in its part {part!r}' if part != 'all' else '') +
            f' in its class folders; image files end in {", ".join(IMAGE_SUFFIXES)}')
    if left_out:
        print_log(f'{printable(root)}: {describe_left_out(left_out)}', 'current')
    there = len(set(labels.values()))
    if there < test_classes:
        print_log(f'{printable(root)} has {there} of {test_classes} classes; the answers, and so '
                  f'the accuracy, are among all {test_classes}', 'current')
    return samples


def is_local(folder: str) -> bool:
    """Return whether a folder is on a disk, as opposed to a remote store."""
    return isinstance(get_file_backend(folder, enable_singleton=True), LocalBackend)


def _some(names: Sequence[str], count: int = 5) -> str:
    return ', '.join(names[:count]) + (', ...' if len(names) > count else '')

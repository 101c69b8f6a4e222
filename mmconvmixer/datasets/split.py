"""The held-out split: one rule for every dataset with a `part` option.

Of each class, one tenth is held out of training, to validate and tune on: `part='held-out'` is
that tenth, `part='rest'` the other nine tenths, `part='all'` every image. The names of a class's
images are put in order and the first tenth is taken, rounded down, but at least one if the class
has two or more images. Only the names decide, so that the split is the same in every run, on
every machine and in whatever order a disk lists its files.

The order is `shuffled` with seed 0. It must never change: weights trained on 'rest' would be
validated on images they were trained on.

CIFAR keeps another order, `last_name_first`. The accuracies under "What was tuned" in
docs/results.md were measured on the last tenth of each class by file name (5,000 images of
CIFAR-10, 500 of each class), and with another order they could not be reproduced. Every other
published CIFAR accuracy belongs to training on all images and does not depend on the split.
"""
import hashlib
from collections.abc import Callable, Iterable

PARTS = ('all', 'rest', 'held-out')

Order = Callable[[Iterable[str]], list[str]]


def shuffled(names: Iterable[str], seed: int = 0) -> list[str]:
    """Return the names sorted by the sha256 of `<seed>/<name>`.

    Neighbors among numbered images are often alike; this order separates them. It needs no
    random number generator, and adding a name does not reorder the others.
    """
    # Names of files that are not valid UTF-8 have an order, too.
    return sorted(names, key=lambda name: hashlib.sha256(
        f'{seed}/{name}'.encode(errors='surrogateescape')).digest())


def last_name_first(names: Iterable[str]) -> list[str]:
    """Return the names in reverse alphabetical order, the order for CIFAR."""
    return sorted(names, reverse=True)


def held_out(names: Iterable[str], order: Order = shuffled) -> set[str]:
    """Return the names of one class's images that training leaves out.

    Args:
        names: the names of all images of the class, each once.
        order: how they are ordered; the first tenth is held out.
    """
    ordered = order(names)
    return set(ordered[:max(len(ordered) // 10, min(len(ordered) - 1, 1))])


def names_in_part(names: Iterable[str], part: str, order: Order = shuffled) -> list[str]:
    """Return the names of one class's images that are in a part, in the order given.

    Args:
        names: the names of all images of the class, each once.
        part: one of `PARTS`.
        order: as in `held_out`.

    Raises:
        ValueError: `part` is not one of `PARTS`.
    """
    check_part(part)
    names = list(names)
    if part == 'all':
        return names
    left_out = held_out(names, order)
    return [name for name in names if (name in left_out) == (part == 'held-out')]


def check_part(part: str) -> None:
    """Raise ValueError unless `part` is one of `PARTS`."""
    if part not in PARTS:
        raise ValueError(f"part is {part!r}, expected 'all', 'rest' or 'held-out'")

"""Which class a folder is for: by the name of the class, or by its WordNet id."""
from collections import Counter
from collections.abc import Iterable, Sequence

from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

from mmconvmixer.datasets.wordnet_ids import WORDNET_IDS


def labels_of(folders: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """Return the label of each folder that is named for one of the classes.

    A folder is named for a class if it has its name, or, for the classes of ImageNet-1k, its
    WordNet id. Failing that, one of the comma-separated names of a class is enough, in either
    case and with '_' for a blank, such as 'English_springer'. A name that two classes have
    stands for neither: 'crane' is a bird and a machine.

    Args:
        folders: the names of folders.
        classes: the names of the classes, in the order of the labels.
    """
    labels = _synonyms(classes)
    if tuple(classes) == tuple(IMAGENET_CATEGORIES):
        labels.update((wordnet_id, label) for label, wordnet_id in enumerate(WORDNET_IDS))
    names = Counter(classes)
    exact = {name: label for label, name in enumerate(classes) if names[name] == 1}
    found = {name: exact.get(name, labels.get(name, labels.get(_plain(name)))) for name in folders}
    return {name: label for name, label in found.items() if label is not None}


def _synonyms(classes: Sequence[str]) -> dict[str, int]:
    """Return the labels of the names that only one class has."""
    pairs = {(_plain(part), label) for label, name in enumerate(classes)
             for part in (name, *name.split(','))}
    counts = Counter(name for name, _ in pairs)
    return {name: label for name, label in pairs if counts[name] == 1}


def _plain(name: str) -> str:
    return ' '.join(name.replace('_', ' ').split()).casefold()

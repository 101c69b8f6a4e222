"""Names of classes: told apart, and compared between a checkpoint and a test set."""
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any


def distinct_names(classes: Sequence[str], count: int | None = None) -> list[str]:
    """Return a different name for each class: one that occurs twice gets its class's number.

    Args:
        classes: the names. ImageNet has two classes "crane" and two "maillot".
        count: number of classes; those without a name are called by their number.
    """
    count = len(classes) if count is None else count
    given = [str(name) for name in classes][:count]
    given += [str(label) for label in range(len(given), count)]
    occurrences = Counter(given)
    taken, names = {name for name in given if occurrences[name] == 1}, []
    for label, name in enumerate(given):
        chosen = name
        if occurrences[name] > 1:
            chosen = f'{name} ({label})'
            while chosen in taken:  # such as a class that is really called "crane (134)"
                chosen += f' ({label})'
            taken.add(chosen)
        names.append(chosen)
    return names


def other_classes(trained: Sequence[str] | None, outputs: int | None, dataset: Any,
                  places: tuple[str, str] = ('the checkpoint', 'the test set')) -> str:
    """Return how the classes of a test set differ from those of a checkpoint, '' if they don't.

    Figures compare labels by their number, which must mean the same in both. Upper and lower
    case, underscores and further synonyms after a comma make no difference. Nor do the WordNet
    ids that name ImageNet's folders: their order is that of its classes.

    Args:
        trained: class names in the checkpoint, by label; None if it has none.
        outputs: number of classes that the network predicts; None if it is not known.
        dataset: the test set, whose metainfo has its class names.
        places: what the two are called.
    """
    here, there = places
    tested = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if not tested:
        return ''
    if not trained:
        # A single output may be the score of two classes.
        return '' if outputs in (None, 1, len(tested)) else (
            f'the network has {outputs} classes, {there} {_some(tested)}')
    if len(trained) != len(tested):
        return f'{here} has {_some(trained)}; {there} has {_some(tested)}'
    if _are_wordnet_ids(trained) != _are_wordnet_ids(tested):
        return ''
    for label, (one, other) in enumerate(zip(trained, tested, strict=True)):
        if not _synonyms(one) & _synonyms(other):
            return (f'label {label} is {one} in {here} and {other} in {there} '
                    f'({_some(trained)}; {_some(tested)})')
    return ''


def _synonyms(name: str) -> set[str]:
    return {' '.join(part.replace('_', ' ').casefold().split()) for part in str(name).split(',')}


def _are_wordnet_ids(names: Sequence[str]) -> bool:
    return all(re.fullmatch(r'n\d{8}', str(name)) for name in names)


def _some(names: Sequence[str]) -> str:
    shown = ', '.join(str(name)[:40] for name in names[:3])
    return f'{len(names)} classes: {shown}{", ..." if len(names) > 3 else ""}'

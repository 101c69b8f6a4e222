"""The forms in which users may give `out_indices`."""
import operator
from collections.abc import Iterable


def resolve_indices(indices: int | Iterable[int], depth: int) -> list[int]:
    """Return the block numbers in 0..depth-1, in order, for one index or several.

    Raises:
        ValueError: an index is outside -depth..depth-1, or not a whole number.
    """
    try:
        picked = [indices] if hasattr(indices, '__index__') else list(indices)
        picked = [operator.index(index) for index in picked]
    except TypeError:
        raise ValueError('out_indices takes a whole number or a sequence of '
                         f'them, got {indices!r}') from None
    for index in picked:
        if not -depth <= index < depth:
            raise ValueError(f'out_indices has {index}, but a backbone of depth '
                             f'{depth} takes {-depth}..{depth - 1}')
    return sorted({index % depth for index in picked})

"""What a layout is."""
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One library's names of one family's weights.

    Args:
        name: of the library: 'mmpretrain', 'timm', 'official' or 'flax'.
        family: 'ConvMixer' or 'MLP-Mixer'.
        signature: keys that these weights have and no other layout's.
        to_mmpretrain, from_mmpretrain: translate to mmpretrain's names and back.
        numerics: what the layout's library computes otherwise than mmpretrain
            does, if anything; see `checkpoints.numerics`.
    """
    name: str
    family: str
    signature: frozenset[str]
    to_mmpretrain: Callable[[Mapping[str, Tensor]], Weights]
    from_mmpretrain: Callable[[Mapping[str, Tensor]], Weights]
    numerics: str | None = None


def renamed(weights: Mapping[str, Tensor], rules: Iterable[tuple[str, str]]) -> Weights:
    """Return the weights by the names that the first fitting rule makes of theirs.

    Args:
        rules: pairs of a regular expression for the whole key and its
            replacement; a key that none fits stays as it is.

    Raises:
        ValueError: two keys get the same name.
    """
    compiled = [(re.compile(pattern), new) for pattern, new in rules]

    def name(key: str) -> str:
        for pattern, new in compiled:
            if match := pattern.fullmatch(key):
                return match.expand(new)
        return key
    return unique((name(key), value) for key, value in weights.items())


def unique(pairs: Iterable[tuple[str, Tensor]]) -> Weights:
    """Return the pairs as a dict; ValueError if a name comes twice."""
    weights = {}
    for key, value in pairs:
        if key in weights:
            raise ValueError(key)
        weights[key] = value
    return weights

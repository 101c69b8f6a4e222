"""The type of a layout: one library's names for the weights of one family."""
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One library's names for the weights of one family.

    Args:
        name: the library whose names these are, such as 'mmpretrain', 'timm' or 'official'.
        family: 'ConvMixer' or 'MLP-Mixer'.
        signature: keys that only weights in this layout have.
        to_mmpretrain, from_mmpretrain: translate names, and transpose weights if needed.
        numerics: key of `checkpoints.numerics.NUMERICS` if the library computes
            differently from mmpretrain, otherwise None.
    """
    name: str
    family: str
    signature: frozenset[str]
    to_mmpretrain: Callable[[Mapping[str, Tensor]], Weights]
    from_mmpretrain: Callable[[Mapping[str, Tensor]], Weights]
    numerics: str | None = None


def renamed(weights: Mapping[str, Tensor], rules: Iterable[tuple[str, str]]) -> Weights:
    """Return the weights with each key renamed by the first rule that matches it.

    Args:
        weights: tensors by key.
        rules: pairs of a regular expression for the whole key and its replacement. A key
            that no rule matches stays as it is.

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
    """Return the pairs as a dict; raise ValueError if a name occurs twice."""
    weights = {}
    for key, value in pairs:
        if key in weights:
            raise ValueError(key)
        weights[key] = value
    return weights

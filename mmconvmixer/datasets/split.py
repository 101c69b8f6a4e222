"""Choosing some of a class's images, the same ones on every machine and in every run."""
import hashlib
from collections.abc import Iterable


def shuffled(names: Iterable[str], seed: int = 0) -> list[str]:
    """Return the names in an order that has nothing to do with the alphabet's.

    It is that of the sha256 of `<seed>/<name>`: numbered images, of which
    neighbours are often alike, are mixed, no generator of random numbers is
    asked, and a name that is added later leaves the others in their order.
    """
    return sorted(names, key=lambda name: hashlib.sha256(f'{seed}/{name}'.encode()).digest())


def held_out(names: Iterable[str]) -> set[str]:
    """Return the tenth of a class's images that training leaves out.

    Rounded down, but one at least where there are two: the first of `shuffled`.
    """
    order = shuffled(names)
    return set(order[:max(len(order) // 10, min(len(order) - 1, 1))])

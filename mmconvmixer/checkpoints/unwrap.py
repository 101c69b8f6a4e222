"""Remove what wrappers added to the names of weights.

| who | what is added |
| --- | --- |
| DataParallel, DistributedDataParallel | `module.` before every name |
| torch.compile, FSDP, activation checkpointing | a part of their own, anywhere in a name |
| torch's and mmengine's averaged models | `module.`, and a counter beside the weights |
| PyTorch Lightning and own training loops | the attribute with the network, such as `model.` |
| flax's training loops | `params/`, `target/` or `opt/target/` |
"""
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from torch import Tensor

from mmconvmixer.checkpoints.layouts import LAYOUTS, recognize
from mmconvmixer.errors import BadCheckpoint

_LEADING = re.compile(r'^(module\.)+')
_ANYWHERE = re.compile(r'(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')
_COUNTERS = ('n_averaged', 'steps')
_ATTRIBUTES = re.compile(r'(\w+[./])+')
# Under which flax's training loops have the network; beside it lie averages of its gradients with
# the same names.
_FLAX_NETWORK = re.compile(r'(^|[./])(params|target)[./]$')


@dataclass(frozen=True)
class Found:
    """The weights in a checkpoint, under the names that a library gave them.

    Attributes:
        weights: by name.
        averaged: whether these are averages over the training.
        place: the key under which they lie, '' for the whole checkpoint.
        beside: the keys of other weights.
        prefix: what was removed from the names of the network, beside what torch adds.
        left_out: names of the tensors that have other prefixes.
    """
    weights: dict[str, Tensor]
    averaged: bool = False
    place: str = ''
    beside: tuple[str, ...] = ()
    prefix: str = ''
    left_out: tuple[str, ...] = ()


def are_weights(content: object) -> TypeGuard[Mapping[str, Tensor]]:
    """Whether this is a dict with tensors and nothing else."""
    return isinstance(content, Mapping) and bool(content) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())


def holds_a_network(content: object) -> bool:
    """Whether these are weights of a ConvMixer or an MLP-Mixer."""
    if not are_weights(content):
        return False
    names = {_LEADING.sub('', _ANYWHERE.sub('', key)) for key in content}
    return bool(recognize(names) or any(_prefixes(names)))


def unwrapped(content: object, source: str) -> Found | None:
    """Return weights without what wrappers added to their names, None if these are no weights.

    Args:
        content: what lies under one key of a checkpoint, or all of it.
        source: name of the checkpoint, for messages.

    Raises:
        BadCheckpoint: two tensors get the same name, or there are several networks.
    """
    if not are_weights(content):
        return None
    weights = _without(_ANYWHERE, content, source)
    wrapped = [key for key in weights if _LEADING.match(key)]
    counters = {key for key in _COUNTERS if key in weights and weights[key].dim() == 0}
    if wrapped and len(wrapped) + len(counters) == len(weights):
        weights = {key: weights[key] for key in wrapped}
    weights = _without(_LEADING, weights, source)
    if recognize(weights):
        return Found(weights)
    prefixes = sorted(set(_prefixes(weights)))
    prefixes = [each for each in prefixes if _FLAX_NETWORK.search(each)] or prefixes
    if len(prefixes) > 1:
        raise BadCheckpoint(f'{source} holds {len(prefixes)} networks, whose names begin with '
                            f'{", ".join(prefixes)}; it is unclear which to load. Save the '
                            'state_dict of one of them')
    if not prefixes:
        return Found(weights)
    prefix, = prefixes
    counters = tuple(_counters_of(prefix))
    return Found({key.removeprefix(prefix): value for key, value in weights.items()
                  if key.startswith(prefix)}, prefix=prefix, left_out=tuple(
                      key for key in weights if not key.startswith((prefix, *counters))))


def _without(wrapper: re.Pattern, weights: Mapping[str, Tensor], source: str
             ) -> dict[str, Tensor]:
    """Return the weights without a wrapper's part of their names."""
    renamed = {wrapper.sub('', key): value for key, value in weights.items()}
    if len(renamed) < len(weights):
        raise BadCheckpoint(f'{source} has the same weights with and without the prefix module.; '
                            'it is unclear which to load. Remove one of them')
    return renamed


def _prefixes(names: Collection[str]) -> Iterator[str]:
    """Yield each prefix under which the names are those of a known network."""
    for layout in LAYOUTS:
        first, *others = sorted(layout.signature)
        for name in names:
            prefix = name.removesuffix(first)
            if prefix != name and _ATTRIBUTES.fullmatch(prefix) and all(
                    prefix + other in names for other in others):
                yield prefix


def _counters_of(prefix: str) -> Iterator[str]:
    """Yield the names of an averaged model's counters: it has the network in its `module`."""
    if prefix.endswith('module.'):
        yield from (prefix.removesuffix('module.') + counter for counter in _COUNTERS)

"""Choose among the weights that a checkpoint holds: of the last step, and averages."""
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mmconvmixer.checkpoints.unwrap import Found, are_weights, holds_a_network, unwrapped
from mmconvmixer.errors import BadCheckpoint

# Where training scripts save weights that are averaged over the training. timm's script, which
# the authors used, has the first.
AVERAGES = ('state_dict_ema', 'model_ema', 'ema', 'params_ema', 'swa_state_dict')
# Where others save the last weights. Here, only weights of a known network count: a file may
# hold several dicts of tensors.
PLACES = ('model', 'model_state_dict', 'net', 'network', 'weights', 'params')
# mmengine's EMAHook puts the averages into `state_dict`, and the last weights here.
_EXCHANGED = 'ema_state_dict'
# Others with such a name may be those of a teacher: they are only taken on request, or if there
# are no other weights.
_NAMED_LIKE_AVERAGES = re.compile('ema|swa|avg|averag', re.IGNORECASE)


def find_weights(checkpoint: Mapping, source: str, ema: bool | None) -> Found | None:
    """Return the weights in a checkpoint, None if there are none.

    Args:
        checkpoint: what `read_checkpoint` returned.
        source: name of the checkpoint, for messages.
        ema: see `checkpoints.weights.state_dict_of`.

    Raises:
        BadCheckpoint: two tensors get the same name, or there are several networks, or several
            averages and nothing else.
    """
    place, averaged = _choose(checkpoint, source, ema)
    if place is None:
        return None
    found = unwrapped(checkpoint[place] if place else checkpoint, source)
    return found and replace(found, averaged=averaged, place=place, beside=tuple(
        key for key in _all_places(checkpoint) if key != place) if place else ())


def describe_choice(found: Found) -> str:
    """Return a sentence on what was chosen where there are averages, '' where there are none."""
    if not found.beside or not (found.averaged or any(map(
            _NAMED_LIKE_AVERAGES.search, found.beside))):
        return ''
    kind, option = ((' averaged over the training', '--no-ema (ema=False)') if found.averaged
                    else ('', '--ema (ema=True)'))
    return (f'reads the weights{kind} in {found.place}, and not those in '
            f'{", ".join(found.beside)}; tools/convert_checkpoint.py {option} takes the others')


def _choose(checkpoint: Mapping, source: str, ema: bool | None) -> tuple[str | None, bool]:
    """Return the key of the weights, '' for the whole file, and whether they are averages."""
    if _is_exchanged(checkpoint):
        return (_EXCHANGED, False) if ema is False else ('state_dict', True)
    for place in AVERAGES if ema is not False else ():
        if isinstance(checkpoint.get(place), Mapping) and (
                place == AVERAGES[0] or holds_a_network(checkpoint[place])):
            return place, True
    if not ema:
        if are_weights(checkpoint.get('state_dict', checkpoint)):
            return 'state_dict' if 'state_dict' in checkpoint else '', False
        for place in PLACES:
            if holds_a_network(checkpoint.get(place)):
                return place, False
    named = [key for key in _all_places(checkpoint) if ema is not False
             and _NAMED_LIKE_AVERAGES.search(key) and holds_a_network(checkpoint[key])]
    if len(named) > 1:
        raise BadCheckpoint(f'{source} has averaged weights in {", ".join(named)}; it is unclear '
                            'which to load. Save one of them on its own')
    return (named[0], True) if named else (None, False)


def _is_exchanged(checkpoint: Mapping) -> bool:
    meta = checkpoint.get('meta')
    return (isinstance(meta, Mapping) and 'mmengine_version' in meta
            and are_weights(checkpoint.get('state_dict'))
            and are_weights(checkpoint.get(_EXCHANGED)))


def _all_places(checkpoint: Mapping[Any, Any]) -> Iterator[str]:
    """Yield the keys under which a checkpoint holds weights."""
    for key, content in checkpoint.items():
        if isinstance(key, str) and (
                are_weights(content) if key == 'state_dict' or _NAMED_LIKE_AVERAGES.search(key)
                else key in PLACES and holds_a_network(content)):
            yield key

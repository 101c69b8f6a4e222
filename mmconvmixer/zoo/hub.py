"""This zoo inside mmpretrain's `ModelHub`."""
from mmpretrain.apis.model import ModelHub
from modelindex.models.Model import Model

from mmconvmixer.zoo.index import aliases, find, models

_theirs: dict = {}  # what `remove_from_hub` puts back: the method, then the entries


def look_up(name: str) -> Model | None:
    """Return the entry of a model of this zoo or mmpretrain's, in any case."""
    ModelHub._register_mmpretrain_models()
    return ModelHub._models_dict.get(name.lower()) or find(name)


def all_names() -> list[str]:
    """Return the names of both zoos."""
    ModelHub._register_mmpretrain_models()
    return sorted(ModelHub._models_dict)


def add_to_hub(hub: type) -> None:
    """Make mmpretrain's own get_model and list_models know this zoo.

    The hub reads mmpretrain's metafiles at the first look-up, which takes a
    second; ours follow then, over the entries of the same names, so that
    importing this package costs nothing.

    Args:
        hub: mmpretrain's `ModelHub`.
    """
    if _theirs:
        return
    read_theirs = _theirs['read'] = hub._register_mmpretrain_models

    def read_theirs_then_ours(cls) -> None:
        read_theirs()
        if 'entries' not in _theirs:
            _theirs['entries'] = dict(cls._models_dict)
            cls._models_dict.update({**models(), **aliases()})

    hub._register_mmpretrain_models = classmethod(read_theirs_then_ours)


def remove_from_hub(hub: type) -> None:
    """Undo `add_to_hub`."""
    if not _theirs:
        return
    hub._register_mmpretrain_models = _theirs['read']
    if 'entries' in _theirs:
        hub._models_dict.clear()
        hub._models_dict.update(_theirs['entries'])
    _theirs.clear()

"""This zoo's models in mmpretrain's `ModelHub`."""
from mmpretrain.apis.model import ModelHub
from modelindex.models.Model import Model

from mmconvmixer.zoo.index import aliases, find, models

# What `remove_from_hub` restores: the hub's method that reads, and its entries once read.
_originals: dict = {}


def look_up(name: str) -> Model | None:
    """Return the entry of a name in this zoo or mmpretrain's, None if there is none.

    Upper and lower case make no difference.
    """
    ModelHub._register_mmpretrain_models()
    return ModelHub._models_dict.get(name.lower()) or find(name)


def all_names() -> list[str]:
    """Return the names of all models, this zoo's and mmpretrain's."""
    ModelHub._register_mmpretrain_models()
    return sorted(ModelHub._models_dict)


def add_to_hub(hub: type) -> None:
    """Add this zoo to mmpretrain's own get_model and list_models.

    The hub reads mmpretrain's metafiles at the first look-up, which takes a second. This
    zoo's entries are added then too, and replace those of the same names: importing this
    package stays fast.

    Args:
        hub: mmpretrain's `ModelHub`.
    """
    if _originals:
        return
    read = _originals['read'] = hub._register_mmpretrain_models

    def read_and_add(cls: type) -> None:
        read()
        if 'entries' not in _originals:
            _originals['entries'] = dict(cls._models_dict)
            cls._models_dict.update({**models(), **aliases()})

    hub._register_mmpretrain_models = classmethod(read_and_add)


def remove_from_hub(hub: type) -> None:
    """Undo `add_to_hub`."""
    if not _originals:
        return
    hub._register_mmpretrain_models = _originals['read']
    if 'entries' in _originals:
        hub._models_dict.clear()
        hub._models_dict.update(_originals['entries'])
    _originals.clear()

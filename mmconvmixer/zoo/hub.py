"""This zoo inside mmpretrain's `ModelHub`."""
from mmconvmixer.zoo.index import models

_theirs: dict = {}


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
            cls._models_dict.update(models())

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

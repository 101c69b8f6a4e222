"""This zoo inside mmpretrain's `ModelHub`."""
from mmconvmixer.zoo.index import models


def add_to_hub(hub: type) -> None:
    """Make mmpretrain's own get_model and list_models know this zoo.

    The hub reads mmpretrain's metafiles at the first look-up, which takes a
    second; ours follow then, over the entries of the same names, so that
    importing this package costs nothing.

    Args:
        hub: mmpretrain's `ModelHub`.
    """
    read_theirs = hub._register_mmpretrain_models

    def read_theirs_then_ours(cls) -> None:
        read_theirs()
        cls._models_dict.update(models())

    hub._register_mmpretrain_models = classmethod(read_theirs_then_ours)

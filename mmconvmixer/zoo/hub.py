"""Lookups in mmpretrain's `ModelHub`, which also has this zoo's names (`registry.py`)."""
from mmpretrain.apis.model import ModelHub
from modelindex.models.Model import Model

from mmconvmixer.zoo.index import find


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

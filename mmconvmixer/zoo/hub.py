"""Lookups in mmpretrain's `ModelHub`, which also has this zoo's names (`registry.py`)."""
from mmpretrain.apis.model import ModelHub
from modelindex.models.Model import Model

from mmconvmixer.zoo.index import find


def look_up(name: str) -> Model | None:
    """Return the entry of a model of this zoo or mmpretrain's, in any case."""
    ModelHub._register_mmpretrain_models()
    return ModelHub._models_dict.get(name.lower()) or find(name)


def all_names() -> list[str]:
    """Return the names of both zoos."""
    ModelHub._register_mmpretrain_models()
    return sorted(ModelHub._models_dict)

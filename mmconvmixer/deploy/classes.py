"""The names of a classifier's classes."""
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

from mmconvmixer.datasets.image_input import test_dataset_of


def classes_of(model: BaseModel, count: int) -> tuple[str, ...] | None:
    """Return the names in the checkpoint, else those of the config's dataset, else None.

    Args:
        model: what `get_model` returned.
        count: number of its classes; a different number of names belongs to another model.
    """
    from mmpretrain.registry import DATASETS
    names = (getattr(model, '_dataset_meta', None) or {}).get('classes')
    if not names:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset = DATASETS.get(test_dataset_of(model)['type'])
        names = (getattr(dataset, 'METAINFO', None) or {}).get('classes')
    return tuple(map(str, names)) if names and len(names) == count else None

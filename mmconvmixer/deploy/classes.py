"""What a classifier's classes are called."""
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

from mmconvmixer.datasets.image_input import test_dataset_of


def classes_of(model: BaseModel, count: int) -> tuple[str, ...] | None:
    """Return the names in the checkpoint, else those of the config's dataset, else None.

    Args:
        model: what `get_model` returned.
        count: of its classes; names of another number are not theirs.
    """
    from mmpretrain.registry import DATASETS
    names = (getattr(model, '_dataset_meta', None) or {}).get('classes')
    if not names:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            known = DATASETS.get(test_dataset_of(model)['type'])
        names = (getattr(known, 'METAINFO', None) or {}).get('classes')
    return tuple(map(str, names)) if names and len(names) == count else None

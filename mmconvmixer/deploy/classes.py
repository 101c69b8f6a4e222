"""What a classifier's classes are called."""
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope


def classes_of(model: BaseModel) -> tuple[str, ...] | None:
    """Return the names in the checkpoint, else those of the config's dataset, else None.

    Args:
        model: what `get_model` returned.
    """
    from mmpretrain.registry import DATASETS
    names = (getattr(model, '_dataset_meta', None) or {}).get('classes')
    config = getattr(model, '_config', None)
    if not names and config is not None and 'test_dataloader' in config:
        dataset = config.test_dataloader.dataset
        while 'dataset' in dataset:  # InMemory and other wrappers
            dataset = dataset.dataset
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            known = DATASETS.get(dataset['type'])
        names = (getattr(known, 'METAINFO', None) or {}).get('classes')
        if names and len(names) != model.head.fc.out_features:
            return None
    return tuple(names) if names else None

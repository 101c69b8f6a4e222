"""What a checkpoint says about its classes and its activation."""
from collections.abc import Mapping

ACTS = ('GELU', 'ReLU')


def meta_of(checkpoint: Mapping) -> dict:
    """Return the checkpoint's meta, {} if it has none."""
    meta = checkpoint.get('meta')
    return dict(meta) if isinstance(meta, Mapping) else {}


def dataset_meta_of(meta: Mapping) -> dict | None:
    """Return the description of the training data, None if there is none.

    Its `classes`, if it has any, are a list or tuple of names.

    Args:
        meta: of mmpretrain 1.x or mmcls 0.x.
    """
    described = meta.get('dataset_meta') or dict(classes=meta.get('CLASSES'))
    if not isinstance(described, Mapping):
        return None
    described = dict(described)
    if not _are_names(described.get('classes')):
        described.pop('classes', None)
    return described or None


def act_in(meta: Mapping) -> tuple[str | None, str]:
    """Return the activation that a checkpoint's meta names, None if it names none, and how.

    How is 'known', 'likely' (what such networks usually have) or 'guessed' (from the sizes, when
    the file was converted).
    """
    noted = meta.get('converted')
    noted = noted if isinstance(noted, Mapping) else {}
    found = ((noted.get('act'), 'known' if noted.get('act_known') is True else 'guessed'),
             (meta.get('act'), 'known'), (meta.get('likely_act'), 'likely'))
    return next(((act, how) for act, how in found if isinstance(act, str)), (None, 'guessed'))


def _are_names(classes: object) -> bool:
    return isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)

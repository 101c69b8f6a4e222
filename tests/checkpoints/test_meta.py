import pytest

from mmconvmixer.checkpoints.meta import dataset_meta_of, meta_of

NAMES = ['cat', 'dog']


@pytest.mark.parametrize(('meta', 'described'), [
    (dict(dataset_meta=dict(classes=NAMES, palette=None)), dict(classes=NAMES, palette=None)),
    (dict(dataset_meta=dict(classes=tuple(NAMES))), dict(classes=tuple(NAMES))),
    (dict(CLASSES=NAMES), dict(classes=NAMES)),
    (dict(dataset_meta=dict(classes=[1, 2], palette=3)), dict(palette=3)),
    (dict(dataset_meta=dict(classes='cat')), None), (dict(dataset_meta='cat'), None),
    (dict(CLASSES=2), None), (dict(dataset_meta={}), None), ({}, None)], ids=str)
def test_class_names_are_a_list_of_text_or_nothing(meta, described):
    assert dataset_meta_of(meta) == described


@pytest.mark.parametrize('meta', [None, 'text', [1], 3])
def test_meta_of_another_type_is_none(meta):
    assert meta_of(dict(meta=meta)) == meta_of({}) == {}

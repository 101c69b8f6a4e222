import pytest
from mmengine import Config

from mmconvmixer.datasets.parts_of_config import innermost, only_pipeline
from mmconvmixer.errors import BadConfig

DIGITS = dict(type='Digits', split='test', pipeline=[dict(type='LoadImage')])
FOLDER = dict(type='ImageFolder', data_root='data', pipeline=[dict(type='LoadImage')])


@pytest.mark.parametrize('wrapped, parts', [
    (DIGITS, [DIGITS]),
    (dict(type='InMemory', dataset=DIGITS), [DIGITS]),
    (dict(type='KFoldDataset', dataset=DIGITS, fold=0), [DIGITS]),
    (dict(type='ConcatDataset', datasets=[DIGITS, FOLDER]), [DIGITS, FOLDER]),
    (dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[
        dict(type='InMemory', dataset=DIGITS), FOLDER])), [DIGITS, FOLDER])])
def test_the_datasets_that_read_images_are_found_in_any_wrapper(wrapped, parts):
    cfg = Config(dict(dataset=wrapped))
    assert list(innermost(cfg.dataset)) == parts
    assert only_pipeline(cfg.dataset, 'the test set') == [dict(type='LoadImage')]


def test_parts_with_different_pipelines_or_none_are_one_line():
    other = {**FOLDER, 'pipeline': []}
    with pytest.raises(BadConfig, match='2 parts of the test set have different pipelines'):
        only_pipeline(dict(type='ConcatDataset', datasets=[DIGITS, other]), 'the test set')
    with pytest.raises(BadConfig, match='no pipeline of the test set .Own.'):
        only_pipeline(dict(type='Own'), 'the test set')

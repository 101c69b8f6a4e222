import pytest
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import CIFAR10Folder, CIFAR100Folder
from mmconvmixer.errors import DatasetNotFound

BOTH = pytest.mark.parametrize('ours, theirs', [
    (CIFAR10Folder, CIFAR10), (CIFAR100Folder, CIFAR100)])


def make(folder, classes):
    for name in classes:
        (folder / name).mkdir(parents=True)
        (folder / name / '0.png').touch()


@BOTH
def test_labels_are_in_cifars_order(tmp_path, ours, theirs):
    make(tmp_path / 'train', theirs.METAINFO['classes'])
    dataset = DATASETS.build(dict(
        type=ours.__name__, data_root=str(tmp_path), data_prefix='train'))
    assert type(dataset) is ours
    assert tuple(dataset.CLASSES) == tuple(theirs.METAINFO['classes'])
    assert len(dataset) == len(theirs.METAINFO['classes'])
    for sample in dataset:
        assert sample['img_path'].split('/')[-2] == dataset.CLASSES[sample['gt_label']]


@BOTH
def test_a_missing_class_and_a_strange_one_are_named(tmp_path, ours, theirs):
    first, *others = theirs.METAINFO['classes']
    make(tmp_path, [*others, 'zeppelin'])
    with pytest.raises(DatasetNotFound, match=f'{first}, zeppelin') as caught:
        ours(data_root=str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert str(len(theirs.METAINFO['classes'])) in str(caught.value)


def test_cifar10_is_no_cifar100(tmp_path):
    make(tmp_path, CIFAR10.METAINFO['classes'])
    with pytest.raises(DatasetNotFound, match='100 classes of CIFAR100Folder'):
        CIFAR100Folder(data_root=str(tmp_path))

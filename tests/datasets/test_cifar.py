import pytest
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import CIFAR10Folder, CIFAR100Folder
from mmconvmixer.errors import DatasetNotFound

BOTH = pytest.mark.parametrize('dataset_class, original', [
    (CIFAR10Folder, CIFAR10), (CIFAR100Folder, CIFAR100)])


def make(folder, classes):
    for name in classes:
        (folder / name).mkdir(parents=True)
        (folder / name / '0.png').touch()


@BOTH
def test_labels_are_in_cifars_order(tmp_path, dataset_class, original):
    make(tmp_path / 'train', original.METAINFO['classes'])
    dataset = DATASETS.build(dict(
        type=dataset_class.__name__, data_root=str(tmp_path), data_prefix='train'))
    assert type(dataset) is dataset_class
    assert tuple(dataset.CLASSES) == tuple(original.METAINFO['classes'])
    assert len(dataset) == len(original.METAINFO['classes'])
    for sample in dataset:
        assert sample['img_path'].split('/')[-2] == dataset.CLASSES[sample['gt_label']]


@BOTH
def test_missing_and_unknown_classes_are_named(tmp_path, dataset_class, original):
    first, *others = original.METAINFO['classes']
    make(tmp_path, [*others, 'zeppelin'])
    with pytest.raises(DatasetNotFound, match=f'{first}, zeppelin') as caught:
        dataset_class(data_root=str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert str(len(original.METAINFO['classes'])) in str(caught.value)


def test_cifar10_is_not_accepted_as_cifar100(tmp_path):
    make(tmp_path, CIFAR10.METAINFO['classes'])
    with pytest.raises(DatasetNotFound, match='100 classes of CIFAR100Folder'):
        CIFAR100Folder(data_root=str(tmp_path))


def fill(folder, names, count):
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f'{number:03d}.png').touch()


def listed(dataset):
    """Class and file name -> label."""
    return {tuple(sample['img_path'].split('/')[-2:]): sample['gt_label']
            for sample in (dataset.get_data_info(number) for number in range(len(dataset)))}


@BOTH
@pytest.mark.parametrize('count, held_out', [(1, 0), (9, 1), (10, 1), (29, 2)])
def test_the_last_tenth_of_each_class_by_file_name_is_held_out(
        tmp_path, dataset_class, original, count, held_out):
    names = original.METAINFO['classes']
    fill(tmp_path, names, count)
    every, kept = (listed(dataset_class(data_root=str(tmp_path), **options))
                   for options in ({}, dict(part='rest')))
    assert len(every) == count * len(names)
    cut = count - held_out
    assert kept == {key: label for key, label in every.items() if key[1] < f'{cut:03d}.png'}
    assert every == listed(dataset_class(data_root=str(tmp_path), part='all'))
    if held_out:
        out = listed(dataset_class(data_root=str(tmp_path), part='held-out'))
        assert len(out) == held_out * len(names)
        assert out.keys().isdisjoint(kept)
        assert out | kept == every


def test_a_config_chooses_the_part_and_the_order_repeats(tmp_path):
    fill(tmp_path / 'train', CIFAR10.METAINFO['classes'], 20)
    cfg = dict(type='CIFAR10Folder', data_root=str(tmp_path), data_prefix='train',
               part='held-out')
    first, second = (DATASETS.build(cfg) for _ in range(2))
    assert len(first) == 20
    assert [sample['img_path'] for sample in first] == [sample['img_path'] for sample in second]
    assert {sample['img_path'].split('/')[-1] for sample in first} == {'018.png', '019.png'}


@BOTH
@pytest.mark.parametrize('part', ['train', '', None, 'Rest'])
def test_there_are_three_parts(tmp_path, dataset_class, original, part):
    with pytest.raises(ValueError, match="'all', 'rest' or 'held-out'") as caught:
        dataset_class(data_root=str(tmp_path), part=part)
    assert repr(part) in str(caught.value)


@BOTH
def test_per_class_chooses_the_same_images_each_time(tmp_path, dataset_class, original):
    names = original.METAINFO['classes']
    fill(tmp_path, names, 20)
    every, some, again, others = (
        listed(dataset_class(data_root=str(tmp_path), **options)) for options in (
            {}, dict(per_class=5), dict(per_class=5, seed=0), dict(per_class=5, seed=1)))
    assert len(some) == 5 * len(names) and some.items() <= every.items()
    assert {list(some.values()).count(label) for label in range(len(names))} == {5}
    assert some == again != others


def test_per_class_chooses_from_the_part_and_takes_all_if_there_are_fewer(tmp_path):
    fill(tmp_path, CIFAR10.METAINFO['classes'], 20)
    rest, some = (listed(CIFAR10Folder(data_root=str(tmp_path), part='rest', **options))
                  for options in ({}, dict(per_class=4)))
    assert len(some) == 40 and some.items() <= rest.items()
    assert listed(CIFAR10Folder(data_root=str(tmp_path), part='rest', per_class=99)) == rest


def test_per_class_below_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match='per_class is 0'):
        CIFAR10Folder(data_root=str(tmp_path), per_class=0)

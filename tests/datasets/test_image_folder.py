import pytest
from mmpretrain.registry import DATASETS

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import ImageFolder
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.errors import DatasetNotFound, EmptyDataset


def make(folder, **counts):
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f'{number:02d}.JPG').touch()
    return folder


def listed(dataset):
    infos = [dataset.get_data_info(number) for number in range(len(dataset))]
    return {tuple(info['img_path'].split('/')[-2:]): info['gt_label'] for info in infos}


def test_labels_follow_the_sorted_names_of_the_folders(tmp_path):
    make(tmp_path / 'train', dog=1, cat=2)
    dataset = DATASETS.build(dict(
        type='ImageFolder', data_root=str(tmp_path), data_prefix='train'))
    assert type(dataset) is ImageFolder and dataset.metainfo['classes'] == ('cat', 'dog')
    assert listed(dataset) == {('cat', '00.JPG'): 0, ('cat', '01.JPG'): 0, ('dog', '00.JPG'): 1}


def test_given_classes_determine_the_labels_and_some_may_be_missing(tmp_path):
    make(tmp_path, dog=1, cat=1)
    dataset = ImageFolder(str(tmp_path), classes=['dog', 'emu', 'cat'])
    assert listed(dataset) == {('dog', '00.JPG'): 0, ('cat', '00.JPG'): 2}


def test_a_folder_that_is_not_a_class_is_named(tmp_path):
    make(tmp_path, dog=1, cat=1)
    with pytest.raises(DatasetNotFound, match='not one of the 1 classes .dog.: cat'):
        ImageFolder(str(tmp_path), classes=['dog'])


def test_hidden_folders_and_other_files_are_skipped(tmp_path):
    make(tmp_path, dog=1)
    make(tmp_path, **{'.git': 1, '__MACOSX': 1, 'dog/.thumbnails': 1, 'dog/deep/er': 1})
    for name in ('dog/notes.txt', 'dog/._00.jpg', 'LICENSE.txt', 'loose.jpg'):
        (tmp_path / name).touch()
    paths = [info['img_path'] for info in map(ImageFolder(str(tmp_path)).get_data_info, (0, -1))]
    assert paths == [f'{tmp_path}/dog/00.JPG', f'{tmp_path}/dog/deep/er/00.JPG']
    assert len(ImageFolder(str(tmp_path))) == 2


def test_the_parts_are_stratified_and_complete(tmp_path):
    make(tmp_path, dog=40, cat=20)
    every, rest, out = (listed(ImageFolder(str(tmp_path), part=part))
                        for part in ('all', 'rest', 'held-out'))
    assert rest.keys().isdisjoint(out) and rest | out == every
    assert sorted(out.values()) == [0] * 2 + [1] * 4


def test_there_are_three_parts(tmp_path):
    with pytest.raises(ValueError, match="'val', expected 'all', 'rest' or 'held-out'"):
        ImageFolder(str(tmp_path), part='val')


def test_a_folder_without_images_is_named(tmp_path):
    make(tmp_path, dog=0)
    with pytest.raises(EmptyDataset, match=str(tmp_path)):
        build_dataset(dict(type='ImageFolder', data_root=str(tmp_path)))

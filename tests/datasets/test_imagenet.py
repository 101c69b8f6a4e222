import os

import pytest
from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import CustomDataset, ImageNet
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.errors import DatasetNotFound


def make(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / '0.JPEG').touch()
    return str(folder)


def listed(dataset):
    infos = map(dataset.get_data_info, range(len(dataset)))
    return {info['img_path'].split('/')[-2]: info['gt_label'] for info in infos}


def test_some_of_imagenets_classes_have_imagenets_labels(tmp_path):
    root = make(tmp_path / 'val', 'n01440764', 'n02102040', 'n03888257')
    dataset = build_dataset(dict(type='ImageNet', data_root=str(tmp_path), split='val'))
    assert type(dataset) is ImageNet and root
    assert listed(dataset) == {'n01440764': 0, 'n02102040': 217, 'n03888257': 701}
    assert len(dataset.metainfo['classes']) == 1000


def test_folders_may_have_the_names_of_the_classes(tmp_path):
    root = make(tmp_path, 'tench', 'English_springer')
    assert listed(ImageNet(data_root=root)) == {'tench': 0, 'English_springer': 217}


def test_a_test_set_of_some_classes_is_said(tmp_path, capsys):
    root = make(tmp_path, 'n01440764', 'n02102040')
    MMLogger._instance_dict.clear()  # an earlier logger holds an earlier stdout
    ImageNet(data_root=root, test_mode=True)
    assert 'has 2 of 1000 classes; the answers, and so the accuracy, are among all 1000' in (
        capsys.readouterr().out)


def test_folders_that_are_no_classes_are_one_line(tmp_path):
    make(tmp_path, 'cat', 'zeppelin')
    with pytest.raises(DatasetNotFound, match=r'subfolders \(2\).*classes \(1000\).*name their'):
        build_dataset(dict(type='ImageNet', data_root=str(tmp_path)))


def test_other_programs_folders_pipes_and_hidden_files_are_no_classes_and_no_images(tmp_path):
    root = make(tmp_path, 'cat', 'dog', '@eaDir', '__MACOSX')
    os.mkfifo(tmp_path / 'cat/1.JPEG')
    (tmp_path / 'cat/._0.JPEG').touch()
    dataset = DATASETS.build(dict(type='CustomDataset', data_root=root))
    assert type(dataset) is CustomDataset
    assert listed(dataset) == {'cat': 0, 'dog': 1} and len(dataset) == 2


def test_with_as_many_folders_as_classes_the_names_are_mmpretrains_business(tmp_path):
    root = make(tmp_path, 'a', 'b')
    assert listed(CustomDataset(data_root=root, classes=['second', 'first'])) == {'a': 0, 'b': 1}


def test_own_extensions_are_obeyed(tmp_path):
    root = make(tmp_path, 'a')
    (tmp_path / 'a/0.npy').touch()
    dataset = CustomDataset(data_root=root, extensions=['.npy'])
    assert [info['img_path'] for info in dataset] == [f'{root}/a/0.npy']

import os
from pathlib import Path

import pytest
from mmpretrain.registry import DATASETS

from mmconvmixer.config.image_folders import (
    Part,
    class_names,
    find_parts,
    use_for_testing,
    use_for_training,
)
from mmconvmixer.errors import BadConfig, DatasetNotFound, EmptyDataset
from mmconvmixer.zoo.config import load_config


@pytest.fixture
def make(tmp_path):
    """Make empty files: `make('train/cat', 3)`."""
    def fill(folder: str, count: int) -> Path:
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / f'{number:02d}.png').touch()
        return tmp_path
    return fill


def parts_of(root):
    parts = find_parts(root)
    return parts.train, parts.val, parts.test


def test_without_a_val_folder_a_tenth_is_held_out_and_logged(make, tmp_path):
    make('cat', 30)
    make('dog', 20)
    parts = find_parts(tmp_path)
    assert parts.classes == ('cat', 'dog') and parts.counts == (45, 5)
    assert parts_of(tmp_path) == (Part('', 'rest'), Part('', 'held-out'), Part('', 'held-out'))
    said = str(parts)
    assert '\n' not in said and '2 classes, 45 images to train on, 5 to validate on' in said
    assert 'no val folder, so a tenth of each class is held out' in said


@pytest.mark.parametrize('name', ['val', 'valid', 'validation'])
def test_train_and_val_folders_are_used_as_they_are(make, tmp_path, name):
    for folder, count in (('train', 3), (name, 2)):
        make(f'{folder}/cat', count)
        make(f'{folder}/dog', count)
    assert parts_of(tmp_path) == (Part('train'), Part(name), Part(name))
    assert str(find_parts(tmp_path)).endswith(f'6 images to train on, 4 to validate on ({name})')


def test_the_case_of_the_subset_names_does_not_matter(make, tmp_path):
    for folder in ('Train', 'Val', 'TEST'):
        make(f'{folder}/cat', 3)
        make(f'{folder}/dog', 3)
    assert parts_of(tmp_path) == (Part('Train'), Part('Val'), Part('TEST'))
    assert find_parts(tmp_path).classes == ('cat', 'dog')


def test_subsets_with_unknown_names_are_not_trained_as_classes(make, tmp_path):
    for folder in ('training', 'dev'):
        make(f'{folder}/cat', 3)
        make(f'{folder}/dog', 3)
    with pytest.raises(DatasetNotFound, match='dev, training, each with the same folders'):
        find_parts(tmp_path)


def test_we_never_validate_on_test_images(make, tmp_path):
    for folder in ('train', 'test'):
        make(f'{folder}/cat', 10)
        make(f'{folder}/dog', 10)
    assert parts_of(tmp_path) == (Part('train', 'rest'), Part('train', 'held-out'), Part('test'))


def test_a_class_may_be_called_train(make, tmp_path):
    make('train', 10)
    make('tram', 10)
    assert find_parts(tmp_path).classes == ('train', 'tram')


def test_val_may_lack_a_class(make, tmp_path):
    make('train/cat', 1)
    make('train/dog', 1)
    make('val/dog', 1)
    assert find_parts(tmp_path).counts == (2, 1)


@pytest.mark.parametrize('folders, error, said', [
    ({}, DatasetNotFound, 'has no folders in it; expected one folder per class'),
    ({'train': 2, 'val/cat': 2}, DatasetNotFound, 'train has no folders in it'),
    ({'val/cat': 2, 'cat': 2}, DatasetNotFound, 'has val, but no train'),
    ({'cat': 2}, DatasetNotFound, 'only one class, cat'),
    ({'cat': 2, 'dog': 0}, EmptyDataset, 'classes without an image: dog'),
    ({'train/cat': 2, 'train/dog': 2, 'val/emu': 2}, DatasetNotFound,
     'val has classes that are not trained: emu; known are cat, dog'),
    ({'train/cat': 2, 'train/dog': 2, 'test/emu': 2}, DatasetNotFound,
     'test has classes that are not trained: emu'),
    ({'train/cat': 2, 'train/dog': 2, 'val/dog': 0}, EmptyDataset, 'val has no image'),
    ({'cat': 1, 'dog': 1}, EmptyDataset, 'no image to validate on'),
])
def test_what_is_wrong_with_a_folder_is_named(make, tmp_path, folders, error, said):
    for folder, count in folders.items():
        make(folder, count)
    with pytest.raises(error, match=said) as caught:
        find_parts(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    for call in (find_parts, lambda folder: use_for_testing({}, folder, None)):
        with pytest.raises(DatasetNotFound, match='nowhere, which is not there'):
            call(tmp_path / 'nowhere')


@pytest.fixture
def animals(make):
    for name in ('cat', 'dog', 'emu'):
        root = make(name, 10)
    return root


CONFIGS = ['convmixer/convmixer-768-32_10xb64_in1k', 'convmixer/convmixer-128-4_cifar10',
           'convmixer/convmixer-768-32_flowers', 'mlp_mixer/mlp-mixer-base-p16_flowers',
           'convmixer/convmixer-64-4_digits']


def innermost(dataset):
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


@pytest.mark.parametrize('name', CONFIGS)
def test_a_config_changes_only_its_datasets_and_classes(repo, animals, name):
    cfg, before = (load_config(repo / f'configs/{name}.py') for _ in range(2))
    use_for_training(cfg, find_parts(animals))
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == 3
    for loader, part in (('train', 'rest'), ('val', 'held-out'), ('test', 'held-out')):
        loader = f'{loader}_dataloader'
        changed, original = innermost(cfg[loader].dataset), innermost(before[loader].dataset)
        assert changed.pop('pipeline') == original.pop('pipeline')
        assert changed == dict(
            type='ImageFolder', data_root=str(animals), data_prefix='', part=part,
            classes=['cat', 'dog', 'emu'], test_mode=loader[:5] != 'train')
        assert cfg[loader].batch_size == before[loader].batch_size
        assert cfg[loader].dataset.type == (before[loader].dataset.type if changed is not
                                            cfg[loader].dataset else 'ImageFolder')
    assert cfg.val_evaluator.topk == (1,)  # top-5 makes no sense with three classes
    assert cfg.optim_wrapper == before.optim_wrapper


@pytest.mark.parametrize('given, used', [((1, 5), (1,)), (5, (1,)), ([1, 2, 5], (1, 2))])
def test_the_topk_of_the_head_follows_the_classes(repo, animals, given, used):
    cfg = load_config(repo / 'configs/convmixer/convmixer-64-4_digits.py')
    cfg.model.head.topk = given
    use_for_training(cfg, find_parts(animals))
    assert cfg.model.head.topk == used


def test_a_set_of_several_parts_becomes_the_folder(repo, animals):
    cfg = load_config(repo / 'configs/convmixer/convmixer-64-4_digits.py')
    part = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=dict(
        type='ConcatDataset', datasets=[part, part]))
    use_for_training(cfg, find_parts(animals))
    assert cfg.train_dataloader.dataset.type == 'RepeatDataset'
    assert cfg.train_dataloader.dataset.dataset.type == 'ImageFolder'
    assert cfg.train_dataloader.dataset.dataset.pipeline == part.pipeline


@pytest.mark.parametrize('change, said', [
    ({'model.head': None}, 'no head with num_classes'),
    ({'train_dataloader.dataset': dict(type='X', datasets=[])}, 'pipeline of train_dataloader')])
def test_a_config_that_does_not_suit_data_is_named(repo, animals, change, said):
    cfg = load_config(repo / 'configs/convmixer/convmixer-64-4_digits.py')
    for key, value in change.items():
        owner, _, last = key.rpartition('.')
        cfg[owner][last] = value
    with pytest.raises(BadConfig, match=said):
        use_for_training(cfg, find_parts(animals))


@pytest.mark.parametrize('folders, tested', [
    (['train', 'val', 'test'], Part('test')), (['train', 'val'], Part('val')),
    (['test'], Part('test')), (['train'], Part('train', 'held-out')),
    (['.'], Part('', 'held-out'))])
def test_tests_use_images_that_were_not_trained_on(repo, make, tmp_path, folders, tested):
    for folder in folders:
        make(f'{folder}/dog', 10)
    cfg = load_config(repo / 'configs/convmixer/convmixer-64-4_digits.py')
    use_for_testing(cfg, tmp_path, ('cat', 'dog', 'emu'))
    dataset = cfg.test_dataloader.dataset
    assert (dataset.data_prefix, dataset.part) == (tested.data_prefix, tested.part)
    assert dataset.classes == ['cat', 'dog', 'emu'] and cfg.model.head.num_classes == 3
    with pytest.raises(DatasetNotFound, match='not trained: dog'):
        use_for_testing(cfg, tmp_path, ('cat', 'emu'))


@pytest.fixture
def imagenet(repo):
    return load_config(repo / 'configs/convmixer/convmixer-768-32_10xb64_in1k.py')


def test_without_names_in_the_weights_the_configs_classes_are_meant(make, imagenet, tmp_path):
    make('n01440764', 20)
    make('English_springer', 20)
    use_for_testing(imagenet, tmp_path, None, 1000)
    dataset = DATASETS.build(imagenet.test_dataloader.dataset)
    assert imagenet.model.head.num_classes == 1000 == len(dataset.metainfo['classes'])
    assert {info['gt_label'] for info in map(dataset.get_data_info, range(4))} == {0, 217}


def test_folders_of_other_classes_than_the_weights_have_are_one_line(make, imagenet, tmp_path):
    make('cat', 10)
    make('zeppelin', 10)
    with pytest.raises(DatasetNotFound, match='2 class folders .* weights have 1000 classes and no '
                                              'names.*name the folders'):
        use_for_testing(imagenet, tmp_path, None, 1000)


def test_as_many_folders_as_the_weights_have_classes_are_their_classes(make, imagenet, tmp_path):
    make('cat', 10)
    make('zeppelin', 10)
    use_for_testing(imagenet, tmp_path, None, 2)
    assert imagenet.test_dataloader.dataset.classes == ['cat', 'zeppelin']


def test_what_is_left_out_is_counted_and_pipes_are_not_opened(make, tmp_path):
    for name in ('cat', 'dog', '@eaDir'):
        make(name, 10)
    os.mkfifo(tmp_path / 'cat/pipe.png')
    (tmp_path / 'dog/._0.png').touch()
    parts = find_parts(tmp_path)
    assert parts.classes == ('cat', 'dog') and parts.counts == (18, 2)
    assert str(parts).endswith(
        '; 3 left out as not an image: @eaDir/, cat/pipe.png, dog/._0.png')


@pytest.mark.parametrize('checkpoint, names', [
    (dict(meta=dict(dataset_meta=dict(classes=['a', 'b']))), ('a', 'b')),
    (dict(meta=dict(dataset_meta={})), None), (dict(meta={}), None),
    (dict(meta=None), None), ({}, None)])
def test_class_names_come_from_the_meta_of_the_checkpoint(checkpoint, names):
    assert class_names(checkpoint) == names

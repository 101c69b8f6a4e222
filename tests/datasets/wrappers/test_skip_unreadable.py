import pickle

import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import SkipUnreadable
from mmconvmixer.errors import BadImage, EmptyDataset


class Bug(Exception):
    pass


class FailOn:
    """A transform that fails on one readable image."""

    def __init__(self, name):
        self.name = name

    def __call__(self, results):
        if results['img_path'].endswith(self.name):
            raise Bug(self.name)
        return results


LOAD = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


@pytest.fixture
def folder(tmp_path):
    """Six gray images, 0.png to 5.png, with pixels of ten times their number."""
    for number in range(6):
        path = tmp_path / f'data/class/{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32), 10 * number, np.uint8)).save(path)
    return tmp_path / 'data'


def dataset(folder, pipeline=LOAD, **options):
    return CustomDataset(data_root=str(folder), pipeline=pipeline, **options)


def damage(folder, number, content=b'no image'):
    path = folder / f'class/{number}.png'
    path.write_bytes(content)
    return str(path)


def number_of(sample):
    return int(sample['inputs'].float().mean()) // 10


def test_readable_images_are_returned_unchanged(folder):
    skipping = SkipUnreadable(dataset(folder))
    assert len(skipping) == 6
    samples = [skipping[index] for index in range(6)]
    assert [number_of(sample) for sample in samples] == list(range(6))
    assert not any('unreadable' in sample['data_samples'] for sample in samples)
    assert skipping.CLASSES == ('class',)


@pytest.mark.parametrize('content', [
    b'', b'no image', b'\x89PNG\r\n\x1a\n' + bytes(50), None])
@pytest.mark.parametrize('test_mode', [False, True])
def test_the_next_image_stands_in_and_names_the_skipped_path(folder, content, test_mode):
    path = str(folder / 'class/2.png')
    skipping = SkipUnreadable(dataset(folder, test_mode=test_mode))
    if content is None:  # deleted after the folder was listed
        (folder / 'class/2.png').unlink()
    else:
        damage(folder, 2, content)
    sample = skipping[2]
    assert number_of(sample) == 3
    assert sample['data_samples'].unreadable == (path,)
    assert number_of(skipping[1]) == 1
    assert 'unreadable' not in skipping[3]['data_samples']


def test_after_the_last_image_comes_the_first(folder):
    paths = damage(folder, 4), damage(folder, 5), damage(folder, 0)
    sample = SkipUnreadable(dataset(folder))[4]
    assert number_of(sample) == 1
    assert sample['data_samples'].unreadable == paths


def test_a_png_cut_in_half_does_not_end_the_run(folder):
    whole = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(whole).save(folder / 'class/2.png')
    data = (folder / 'class/2.png').read_bytes()
    damage(folder, 2, data[:len(data) // 2])
    for backend in ('cv2', 'pillow'):
        load = [dict(type='LoadImageFromFile', imdecode_backend=backend), LOAD[1]]
        skipping = SkipUnreadable(dataset(folder, load))
        assert [skipping[index]['inputs'].shape[0] for index in range(6)] == [3] * 6


def test_a_bug_in_a_transform_is_not_hidden(folder):
    pipeline = [LOAD[0], FailOn('3.png'), LOAD[1]]
    skipping = SkipUnreadable(dataset(folder, pipeline))
    assert number_of(skipping[2]) == 2
    with pytest.raises(Bug):
        skipping[3]
    damage(folder, 2)
    with pytest.raises(Bug):
        skipping[2]  # image 3 stands in for it


def test_on_request_an_error_names_the_path(folder):
    path = damage(folder, 2)
    skipping = SkipUnreadable(dataset(folder), on_unreadable='raise')
    assert number_of(skipping[3]) == 3
    with pytest.raises(BadImage, match=path) as caught:
        skipping[2]
    assert '\n' not in str(caught.value)


def test_on_request_a_loader_process_raises_the_same_error(folder):
    path = damage(folder, 2)
    skipping = SkipUnreadable(dataset(folder), on_unreadable='raise')
    with pytest.raises(BadImage, match=path) as caught:
        list(DataLoader(skipping, batch_size=None, sampler=[2], num_workers=1))
    assert '\n' not in str(caught.value)


def test_a_dataset_of_unreadable_images_is_empty(folder):
    paths = [damage(folder, number) for number in range(6)]
    with pytest.raises(EmptyDataset, match='none of 6') as caught:
        SkipUnreadable(dataset(folder))[1]
    assert paths[1] in str(caught.value)


@pytest.mark.parametrize('choice', ['ignore', '', None, True])
def test_there_are_two_choices(folder, choice):
    with pytest.raises(ValueError, match="'skip' or 'raise'"):
        SkipUnreadable(dataset(folder), on_unreadable=choice)


def test_an_error_with_an_image_in_memory_is_raised():
    pipeline = [dict(type='LoadImage'), FailOn('1198.png'), dict(type='PackInputs')]
    digits = DATASETS.build(dict(type='Digits', split='test', pipeline=pipeline[::2]))
    digits.pipeline.transforms.insert(1, pipeline[1])
    with pytest.raises(Bug):
        SkipUnreadable(digits)[0]


def test_an_index_after_the_last_is_an_index_error(folder):
    skipping = SkipUnreadable(dataset(folder))
    with pytest.raises(IndexError):
        skipping[6]


def test_it_can_be_pickled(folder):
    damage(folder, 2)
    skipping = pickle.loads(pickle.dumps(SkipUnreadable(dataset(folder))))
    assert number_of(skipping[2]) == 3


def test_it_takes_a_config_too(folder):
    damage(folder, 2)
    skipping = SkipUnreadable(dict(
        type='CustomDataset', data_root=str(folder), pipeline=LOAD,
        _scope_='mmpretrain'))
    assert number_of(skipping[2]) == 3

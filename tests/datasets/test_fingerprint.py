import shutil

import mmcv
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmconvmixer.datasets import Digits
from mmconvmixer.datasets import fingerprint as module
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.fingerprint import fingerprint

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def of_folder(folder, in_memory=False):
    cfg = dict(type='CustomDataset', data_root=str(folder), pipeline=PIPELINE)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return fingerprint(build_dataset(dict(type='InMemory', dataset=cfg) if in_memory else cfg))


@pytest.fixture
def folder(tmp_path, image_folder):
    image_folder(tmp_path / 'set', 12, classes=3)
    return tmp_path / 'set'


def test_it_depends_on_pixels_not_on_names_order_format_or_storage(folder, tmp_path):
    before = of_folder(folder)
    assert before['images'] == 12 and before['of'] == 'pixels and labels'
    assert of_folder(folder, in_memory=True) == before
    copy = tmp_path / 'copy'
    for number, path in enumerate(sorted(folder.rglob('*.png'), reverse=True)):
        target = copy / path.parent.name / f'{number}.bmp'
        mmcv.imwrite(mmcv.imread(str(path)), str(target))
    assert of_folder(copy) == before


@pytest.mark.parametrize('change', ['a pixel', 'a label', 'one less'])
def test_any_change_to_the_data_changes_it(folder, change):
    before = of_folder(folder)['sha256']
    path = folder / 'class0/000.png'
    if change == 'a pixel':
        image = mmcv.imread(str(path))
        image[3, 4, 0] ^= 1
        mmcv.imwrite(image, str(path))
    elif change == 'a label':
        shutil.move(path, folder / 'class1/moved.png')
    else:
        path.unlink()
    assert of_folder(folder)['sha256'] != before


def test_wrappers_are_ignored_and_images_in_annotations_are_hashed(folder):
    from mmconvmixer.datasets import SkipUnreadable
    digits = Digits('test')
    found = fingerprint(SkipUnreadable(digits))
    assert found == fingerprint(digits)
    assert found['images'] == 599
    assert found != fingerprint(Digits('train'))


def test_large_datasets_are_hashed_by_names_and_sizes(folder, monkeypatch):
    monkeypatch.setattr(module, 'MAX_BYTES_DECODED', 100)
    before = of_folder(folder)
    assert before['of'] == 'names, labels and file sizes'
    image = np.zeros((8, 8, 3), np.uint8)
    mmcv.imwrite(image, str(folder / 'class0/000.png'))
    assert of_folder(folder)['sha256'] != before['sha256']


def test_files_that_are_not_local_are_hashed_by_name(folder, monkeypatch):
    monkeypatch.setattr(module, '_size', lambda info: None)
    before = of_folder(folder)
    assert before['of'] == 'names and labels'
    (folder / 'class0/000.png').rename(folder / 'class0/xyz.png')
    assert of_folder(folder)['sha256'] != before['sha256']


def test_very_many_files_are_hashed_by_name_only(folder, monkeypatch):
    monkeypatch.setattr(module, 'MAX_FILES_STATTED', 11)
    assert of_folder(folder)['of'] == 'names and labels'


def test_of_a_plain_torch_dataset_only_the_length_is_known():
    assert fingerprint([1, 2, 3]) == dict(images=3, sha256=None, of=None)


def test_an_image_that_cannot_be_decoded_is_not_an_error(folder):
    before = of_folder(folder)['sha256']
    (folder / 'class0/000.png').write_bytes(b'')
    after = of_folder(folder)
    assert after['sha256'] != before and after['images'] == 11
    assert of_folder(folder, in_memory=True) == after

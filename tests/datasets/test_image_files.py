from pathlib import Path

import pytest

from mmconvmixer.datasets.image_files import IMAGE_SUFFIXES, image_files
from mmconvmixer.datasets.image_input import images_in
from mmconvmixer.errors import BadImage


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_every_suffix_counts_in_either_case(tmp_path):
    names = sorted(f'{number}{suffix}' for number, suffix in enumerate(
        (*IMAGE_SUFFIXES, *map(str.upper, IMAGE_SUFFIXES))))
    fill(tmp_path, *names, 'notes.txt', 'jpg', 'a.npy', 'a.jpg.part')
    assert image_files(tmp_path) == names
    assert images_in(tmp_path) == [Path(tmp_path, name) for name in names]


def test_folders_below_are_listed_unless_asked_not_to(tmp_path):
    fill(tmp_path, 'b.png', 'a/c.png', 'a/deep/er/d.png')
    (tmp_path / 'folder.jpg').mkdir()
    assert image_files(tmp_path) == ['a/c.png', 'a/deep/er/d.png', 'b.png']
    assert image_files(tmp_path, recursive=False) == ['b.png']


def test_hidden_files_and_folders_are_skipped(tmp_path):
    fill(tmp_path, 'a.jpg', '._a.jpg', '.jpg', '.thumbnails/a.jpg', 'b/.c/d.jpg')
    assert image_files(tmp_path) == ['a.jpg']


@pytest.mark.parametrize('names', [(), ('notes.txt',), ('below/a.jpg',)])
def test_a_folder_without_an_image_is_named(tmp_path, names):
    fill(tmp_path, *names)
    with pytest.raises(BadImage, match=f'{tmp_path} has no image in it.*[.]jpeg, [.]jpg'):
        images_in(tmp_path)

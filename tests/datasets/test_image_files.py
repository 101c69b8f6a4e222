import os
from pathlib import Path

import pytest

from mmconvmixer.datasets.image_files import (
    IMAGE_SUFFIXES,
    class_folders,
    describe_left_out,
    image_files,
    list_images,
    printable,
)
from mmconvmixer.datasets.image_input import images_in
from mmconvmixer.errors import BadImage, DatasetNotFound


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


def test_what_macs_browsers_and_notebooks_write_is_told_apart_and_counted(tmp_path):
    fill(tmp_path, 'a.jfif', 'b.JPE', 'c.gif', 'd.avif', '._a.PNG', 'Thumbs.db',
         '__MACOSX/a.png', '@eaDir/a.png', '.ipynb_checkpoints/a.png')
    listing = list_images(tmp_path)
    assert listing.images == ['a.jfif', 'b.JPE', 'c.gif', 'd.avif']
    assert listing.left_out == ['._a.PNG', '.ipynb_checkpoints/', '@eaDir/', 'Thumbs.db',
                                '__MACOSX/']
    assert describe_left_out(listing.left_out) == (
        '5 left out as not an image: ._a.PNG, .ipynb_checkpoints/, @eaDir/, ...')
    assert describe_left_out([]) == ''


def test_only_regular_files_and_links_to_them_count(tmp_path):
    fill(tmp_path, 'a.png')
    os.mkfifo(tmp_path / 'pipe.png')  # a reader would wait for ever
    for name, target in (('device.png', '/dev/zero'), ('link.png', 'a.png'),
                         ('broken.png', 'nowhere'), ('round.png', 'round.png')):
        (tmp_path / name).symlink_to(target)
    listing = list_images(tmp_path)
    assert listing.images == ['a.png', 'link.png']
    assert listing.left_out == ['broken.png', 'device.png', 'pipe.png', 'round.png']


def test_a_link_to_a_folder_is_left_out_because_it_may_lead_back(tmp_path):
    fill(tmp_path, 'deep/a.png')
    (tmp_path / 'deep/up').symlink_to('..')
    assert list_images(tmp_path).left_out == ['deep/up/']


def test_class_folders_are_not_those_of_other_programs(tmp_path):
    fill(tmp_path, 'cat/0.png', '@eaDir/0.png', '__MACOSX/0.png', '.git/0.png', '#recycle/0.png')
    (tmp_path / 'dog').symlink_to('cat')
    assert class_folders(tmp_path) == ['cat', 'dog']


def test_a_class_whose_name_is_not_text_is_one_line(tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b'/na\xefve')
    with pytest.raises(DatasetNotFound, match=r'not valid UTF-8, na.*udcefve; rename it'):
        class_folders(tmp_path)


def test_a_folder_of_folders_says_where_the_images_are(tmp_path):
    fill(tmp_path, 'cat/0.png', 'dog/0.png')
    with pytest.raises(BadImage, match='no image in it, but 2 in the folders below it'):
        images_in(tmp_path)


def test_what_is_left_out_of_a_folder_to_predict_is_said(tmp_path, capsys):
    fill(tmp_path, 'a.png', '._a.png')
    images_in(tmp_path)
    assert capsys.readouterr().err == f'{tmp_path}: 1 left out as not an image: ._a.png\n'


def test_a_long_path_is_shortened_for_a_message():
    assert len(printable('x' * 5000)) < 250

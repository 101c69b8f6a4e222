import hashlib
import io
import tarfile
import threading

import pytest
from mmpretrain.registry import DATASETS
from PIL import Image

import mmconvmixer.datasets.flowers as flowers
from mmconvmixer.checkpoints.download.mirror import VARIABLE
from mmconvmixer.datasets import Flowers, check_folders
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.errors import DatasetNotFound, HashMismatch

CLASSES = ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')


def archive_of(count=10):
    image, packed = io.BytesIO(), io.BytesIO()
    Image.new('RGB', (9, 7)).save(image, 'jpeg')
    with tarfile.open(fileobj=packed, mode='w:gz') as tar:
        for name in [f'{name}/{number}.jpg' for name in CLASSES for number in range(count)] + [
                'LICENSE.txt']:
            info = tarfile.TarInfo(f'flower_photos/{name}')
            info.size = len(image.getvalue())
            tar.addfile(info, io.BytesIO(image.getvalue()))
    return packed.getvalue()


@pytest.fixture
def published(server, monkeypatch):
    """Publish a small archive at a loopback address instead of the real one."""
    data = archive_of()
    (server.folder / 'flower_photos.tgz').write_bytes(data)
    monkeypatch.setattr(flowers, 'URL', f'{server.url}/flower_photos.tgz')
    monkeypatch.setattr(flowers, 'SHA256', hashlib.sha256(data).hexdigest())
    return server


@pytest.fixture
def unreachable(monkeypatch, free_port):
    monkeypatch.setattr(flowers, 'URL', f'http://127.0.0.1:{free_port}/flower_photos.tgz')


def test_it_is_downloaded_once_and_then_read_from_its_folder(published, tmp_path):
    root = tmp_path / 'data/flowers'
    cfg = dict(type='Flowers', data_root=str(root), download=True)
    check_folders(cfg)  # would fail for other datasets, whose folder must exist
    rest, out = (DATASETS.build(dict(cfg, part=part)) for part in ('rest', 'held-out'))
    assert type(rest) is Flowers and rest.metainfo['classes'] == CLASSES
    assert (len(rest), len(out)) == (45, 5)
    assert published.asked == ['/flower_photos.tgz']
    assert {path.name for path in root.iterdir()} == {*CLASSES, 'LICENSE.txt'}
    assert [path.name for path in root.parent.iterdir()] == ['flowers']  # nothing else is left
    assert rest.get_data_info(0)['img_path'].startswith(f'{root}/daisy/')


def test_an_existing_folder_is_read_without_a_network(unreachable, tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / '0.jpg').touch()
    assert len(Flowers(str(tmp_path), download=True)) == 5


def test_without_a_network_the_error_says_what_to_do(unreachable, tmp_path):
    with pytest.raises(DatasetNotFound, match='could not be downloaded') as caught:
        build_dataset(dict(type='Flowers', data_root=str(tmp_path / 'flowers'), download=True))
    for word in (str(tmp_path / 'flowers'), flowers.URL, VARIABLE):
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_download_the_folder_must_exist(published, tmp_path):
    cfg = dict(type='Flowers', data_root=str(tmp_path / 'flowers'))
    with pytest.raises(DatasetNotFound, match='flowers, which does not exist'):
        check_folders(cfg)
    with pytest.raises(DatasetNotFound, match='lacks daisy, dandelion'):
        build_dataset(cfg)
    assert published.asked == []


def test_a_folder_with_other_content_is_not_changed(published, tmp_path):
    (tmp_path / 'holiday').mkdir()
    with pytest.raises(DatasetNotFound, match='lacks daisy'):
        Flowers(str(tmp_path), download=True)
    assert published.asked == [] and [path.name for path in tmp_path.iterdir()] == ['holiday']


def test_another_folder_beside_the_flowers_is_named(published, tmp_path):
    Flowers(str(tmp_path / 'flowers'), download=True)
    (tmp_path / 'flowers/weeds').mkdir()
    with pytest.raises(DatasetNotFound, match='weeds'):
        Flowers(str(tmp_path / 'flowers'))


def test_an_archive_that_is_not_the_published_one_is_deleted(published, tmp_path):
    (published.folder / 'flower_photos.tgz').write_bytes(archive_of(count=11))
    with pytest.raises(HashMismatch):
        Flowers(str(tmp_path / 'flowers'), download=True)
    assert list(tmp_path.iterdir()) == []


def test_a_mirrors_archive_is_used_and_kept(published, tmp_path, monkeypatch, unreachable):
    monkeypatch.setenv(VARIABLE, str(published.folder))
    assert len(Flowers(str(tmp_path / 'flowers'), download=True)) == 50
    assert published.asked == [] and (published.folder / 'flower_photos.tgz').is_file()


def test_two_at_the_same_time_download_it_once(published, tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(
        len(Flowers(str(tmp_path / 'flowers'), download=True)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [50, 50] and published.asked == ['/flower_photos.tgz']

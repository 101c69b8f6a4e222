import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from mmconvmixer.datasets import cifar
from mmconvmixer.datasets.cifar import CIFAR10Folder, CIFAR100Folder, unpack_cifar
from mmconvmixer.errors import BadArchive, DatasetNotFound


def archive_of(path, **files):
    with tarfile.open(path, 'w:gz') as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f'cifar/{name}.bin')
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def record(pixels, *labels):
    return bytes(labels) + pixels.transpose(2, 0, 1).tobytes()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_cifar10_becomes_folders_that_the_dataset_reads(tmp_path, pixels):
    archive = archive_of(
        tmp_path / 'any-name.tgz',
        data_batch_1=b''.join(record(pixels, label) for label in range(10)),
        data_batch_2=record(255 - pixels, 3),
        test_batch=record(pixels, 9))
    assert unpack_cifar(archive, tmp_path / 'out') == 12
    dataset = CIFAR10Folder(str(tmp_path / 'out'), data_prefix='train')
    assert len(dataset) == 11 and dataset.CLASSES[3] == 'cat'
    with Image.open(tmp_path / 'out/train/cat/00001.png') as image:
        np.testing.assert_array_equal(np.asarray(image), 255 - pixels)
    assert (tmp_path / 'out/test/truck/00000.png').is_file()


def test_cifar100_uses_the_fine_label(tmp_path, pixels):
    archive = archive_of(tmp_path / 'c100.tar.gz', train=record(pixels, 4, 0),
                         test=record(pixels, 4, 99))
    unpack_cifar(archive, tmp_path / 'out')
    classes = CIFAR100Folder.METAINFO['classes']
    assert (tmp_path / 'out/train' / classes[0] / '00000.png').is_file()
    assert (tmp_path / 'out/test' / classes[99] / '00000.png').is_file()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DatasetNotFound, match='missing.tgz'):
        unpack_cifar(tmp_path / 'missing.tgz', tmp_path / 'out')
    (tmp_path / 'text.tgz').write_text('no archive')
    with pytest.raises(DatasetNotFound, match=r'text.tgz.*cifar-10-binary'):
        unpack_cifar(tmp_path / 'text.tgz', tmp_path / 'out')
    with pytest.raises(DatasetNotFound, match='other.bin'):
        unpack_cifar(archive_of(tmp_path / 'o.tgz', other=b'x'), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.fixture
def pack(tmp_path):
    """Write an archive of members in the order given: `pack(('a/test.bin', b'...'), ...)`."""
    def write(*members):
        path = tmp_path / 'cifar.tar'
        with tarfile.open(path, 'w') as archive:
            for name, content in members:
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return path
    return write


def refused(archive, out, said):
    with pytest.raises(BadArchive, match=said):
        unpack_cifar(archive, out)
    assert not out.exists()


def test_only_whole_records_of_known_classes_are_unpacked(pack, tmp_path, pixels):
    good, out = ('c/test_batch.bin', record(pixels, 9)), tmp_path / 'out'
    for members, said in (
            ([('c/data_batch_1.bin', record(pixels, 1)[:-1])], '3072 bytes; .* multiple of 3073'),
            ([('c/data_batch_1.bin', b'')], 'has 0 bytes'),
            ([('c/data_batch_1.bin', record(pixels, 10))], 'label 10; expected 0 to 9'),
            ([('c/data_batch_6.bin', record(pixels, 1))], 'holds data_batch_6.bin; expected'),
            ([('d/test_batch.bin', record(pixels, 1))], 'holds test_batch.bin twice')):
        refused(pack(good, *members), out, said)


def test_a_links_content_is_not_taken_for_a_batch(pack, tmp_path, pixels):
    link = tarfile.TarInfo('c/data_batch_1.bin')
    link.type, link.linkname = tarfile.SYMTYPE, 'test_batch.bin'
    refused(pack(('c/test_batch.bin', record(pixels, 9)), (link, b'')), tmp_path / 'out',
            'link or device')


@pytest.mark.parametrize('limit, said', [
    (('_MOST_MEMBERS', 1), 'far more files'), (('_MOST_BYTES', 4000), 'far more content')])
def test_numbers_and_sizes_are_limited_before_anything_is_read(
        pack, tmp_path, pixels, monkeypatch, limit, said):
    monkeypatch.setattr(cifar, *limit)
    refused(pack(('c/test_batch.bin', record(pixels, 9)), ('c/readme', b'x' * 2000)),
            tmp_path / 'out', said)


def test_what_a_mac_adds_is_left_aside(pack, tmp_path, pixels):
    archive = pack(('c/._test_batch.bin', b'not an image'),
                   ('c/test_batch.bin', record(pixels, 9)))
    assert unpack_cifar(archive, tmp_path / 'out') == 1

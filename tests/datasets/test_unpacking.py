import gzip
import io
import random
import tarfile

import pytest

import mmconvmixer.datasets.unpacking as unpacking
from mmconvmixer.datasets.unpacking import unpack
from mmconvmixer.errors import BadArchive, OutputNotWritable

GOOD = [('top', None), ('top/a/1.jpg', b'one'), ('top/b/deep/2.jpg', b'two'), ('top/NOTE', b'')]


@pytest.fixture
def pack(tmp_path):
    def write(members, name='data.tgz'):
        path = tmp_path / name
        with tarfile.open(path, 'w:gz') as tar:
            for name, content in members:
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                if content is None and info.type == tarfile.REGTYPE:
                    info.type = tarfile.DIRTYPE
                info.size = len(content or b'')
                tar.addfile(info, io.BytesIO(content or b''))
        return path
    return write


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('there', [False, True], ids=['no folder', 'an empty folder'])
def test_the_content_of_the_top_folder_becomes_the_folder(pack, tmp_path, there):
    archive, target = pack(GOOD), tmp_path / 'x/data'
    if there:
        target.mkdir(parents=True)
    assert unpack(archive, target) == 3
    assert tree(target) == {'a/1.jpg': b'one', 'b/deep/2.jpg': b'two', 'NOTE': b''}
    assert [path.name for path in (tmp_path / 'x').iterdir()] == ['data']


def special(name, kind, link=''):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize('member, said', [
    (('top/../../evil', b'x'), 'leads out'),
    (('/evil', b'x'), 'leads out'),
    (('../evil', b'x'), 'leads out'),
    (('top\\..\\..\\evil', b'x'), 'leads out'),
    (('C:/evil', b'x'), 'leads out'),
    ((special('top/link', tarfile.SYMTYPE, '/etc/passwd'), None), 'link or device'),
    ((special('top/link', tarfile.LNKTYPE, 'top/a/1.jpg'), None), 'link or device'),
    ((special('top/pipe', tarfile.FIFOTYPE), None), 'link or device'),
    ((special('top/disk', tarfile.BLKTYPE), None), 'link or device'),
    (('loose.jpg', b'x'), 'outside its top folder'),
    (('other/1.jpg', b'x'), 'more than one top folder'),
    (('top/a/1.jpg', b'again'), 'damaged'),
    (('top/a/1.jpg/x', b'below a file'), 'damaged'),
])
def test_an_archive_with_anything_else_is_refused_completely(pack, tmp_path, member, said):
    archive = pack([*GOOD, member])
    with pytest.raises(BadArchive, match=said):
        unpack(archive, tmp_path / 'x/data')
    assert tree(tmp_path) == {'data.tgz': archive.read_bytes()}


@pytest.mark.parametrize('spoil', [
    lambda data: data[:len(data) // 2], lambda data: b'no archive', lambda data: b'',
    lambda data: data[:60] + bytes([data[60] ^ 255]) + data[61:]])
def test_a_damaged_archive_is_named_and_nothing_is_written(pack, tmp_path, spoil):
    archive = pack([*GOOD, ('top/c/3.jpg', bytes(range(256)) * 9)])
    archive.write_bytes(spoil(archive.read_bytes()))
    with pytest.raises(BadArchive, match='data.tgz'):
        unpack(archive, tmp_path / 'x/data')
    assert set(tree(tmp_path)) == {'data.tgz'}


def test_an_archive_that_expands_far_too_much_is_refused(pack, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, '_ALWAYS_ALLOWED', 1000)
    archive = pack([('top/zeros', bytes(1_000_000))])
    with pytest.raises(BadArchive, match='far more'):
        unpack(archive, tmp_path / 'x/data')


def test_existing_files_are_not_replaced(pack, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/mine').write_text('mine')
    with pytest.raises(OutputNotWritable, match='data'):
        unpack(pack(GOOD), tmp_path / 'data')
    assert tree(tmp_path / 'data') == {'mine': b'mine'}


@pytest.mark.parametrize('kind', [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
                                  tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_long_name_or_attribute_is_refused_before_it_is_read(tmp_path, kind):
    """The header claims a gigabyte; the file ends after it."""
    header = special('././@LongLink', kind)
    header.size = 1 << 30
    archive = tmp_path / 'data.tar'
    archive.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(BadArchive, match='name or attributes of 1,073,741,824 bytes'):
        unpack(archive, tmp_path / 'x/data')


def test_a_negative_size_is_refused(pack, tmp_path):
    info = tarfile.TarInfo('top/1.jpg')
    info.pax_headers = dict(size='-1024')
    archive = tmp_path / 'data.tar'
    with tarfile.open(archive, 'w', format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    with pytest.raises(BadArchive, match='negative size|damaged'):
        unpack(archive, tmp_path / 'x/data')


def test_a_chain_of_attributes_is_damage_and_not_a_crash(tmp_path):
    header = special('pax', tarfile.XHDTYPE)
    header.size = 0
    archive = tmp_path / 'data.tar'
    archive.write_bytes(header.tobuf(tarfile.USTAR_FORMAT) * 3000 + bytes(1024))
    with pytest.raises(BadArchive, match='damaged'):
        unpack(archive, tmp_path / 'x/data')


def test_too_many_files_and_endless_zeros_are_refused(pack, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, '_MAX_MEMBERS', 3)
    with pytest.raises(BadArchive, match='far more files'):
        unpack(pack(GOOD), tmp_path / 'x/data')
    monkeypatch.setattr(unpacking, '_MAX_MEMBERS', 10)
    monkeypatch.setattr(unpacking, '_ALWAYS_ALLOWED', 10_000)
    archive = pack(GOOD)
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()) + bytes(3_000_000)))
    with pytest.raises(BadArchive, match="damaged"):
        unpack(archive, tmp_path / 'x/data')


@pytest.mark.parametrize('mode', ['w:xz', 'w:bz2'])
def test_a_damaged_archive_of_any_compression_is_named(tmp_path, mode):
    archive = tmp_path / 'data.tar'
    with tarfile.open(archive, mode) as tar:
        info = tarfile.TarInfo('top/1.jpg')
        info.size = 100_000
        tar.addfile(info, io.BytesIO(random.Random(0).randbytes(100_000)))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 255
    archive.write_bytes(data)
    with pytest.raises(BadArchive, match='data.tar is truncated or damaged'):
        unpack(archive, tmp_path / 'x/data')

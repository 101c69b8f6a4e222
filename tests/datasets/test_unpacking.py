import io
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

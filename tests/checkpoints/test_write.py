import hashlib
import resource

import pytest
import torch

from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint
from mmconvmixer.checkpoints.write import write_published
from mmconvmixer.errors import OutputNotWritable


def checkpoint(seed=0, count=10):
    generator = torch.Generator().manual_seed(seed)
    return dict(state_dict=dict(weight=torch.rand(count, generator=generator)))


def test_a_written_checkpoint_can_be_read(tmp_path):
    write_checkpoint(checkpoint(), tmp_path / 'x.pth')
    torch.testing.assert_close(read_checkpoint(tmp_path / 'x.pth'), checkpoint(),
                               rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']


def test_what_cannot_be_pickled_leaves_the_old_file(tmp_path):
    write_checkpoint(checkpoint(), tmp_path / 'x.pth')
    with pytest.raises(Exception, match='pickle'):
        write_checkpoint(dict(weight=torch.ones(3), function=lambda: 0), tmp_path / 'x.pth')
    torch.testing.assert_close(read_checkpoint(tmp_path / 'x.pth'), checkpoint())
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']


@pytest.mark.parametrize('name, write', [
    ('file/x.pth', lambda path: write_checkpoint(checkpoint(), path)),
    ('folder.pth', lambda path: write_checkpoint(checkpoint(), path)),
    ('file/x', lambda path: write_published(checkpoint(), path.parent, path.name))])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name, write):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.pth').mkdir()
    before = set(tmp_path.rglob('*'))
    with pytest.raises(OutputNotWritable, match=str(tmp_path / name)):
        write(tmp_path / name)
    assert set(tmp_path.rglob('*')) == before


def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path):
    write_checkpoint(checkpoint(), tmp_path / 'x.pth')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputNotWritable, match='x.pth'):
            write_checkpoint(checkpoint(count=100_000), tmp_path / 'x.pth')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    torch.testing.assert_close(read_checkpoint(tmp_path / 'x.pth'), checkpoint())
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']


def test_a_published_file_is_named_by_its_sha256(tmp_path):
    path = write_published(checkpoint(), tmp_path, 'net')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path == tmp_path / f'net-{digest[:8]}.pth'
    assert list(tmp_path.iterdir()) == [path]
    torch.testing.assert_close(read_checkpoint(path), checkpoint(), rtol=0, atol=0)


def test_equal_weights_give_equal_files_and_others_do_not(tmp_path):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
    first = write_published(checkpoint(), tmp_path / 'a', 'net')
    again = write_published(checkpoint(), tmp_path / 'b', 'net')
    other = write_published(checkpoint(seed=1), tmp_path / 'b', 'net')
    assert again.name == first.name
    assert again.read_bytes() == first.read_bytes()
    assert other.name != first.name

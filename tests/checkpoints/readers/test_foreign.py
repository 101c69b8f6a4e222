"""Files and folders of other kinds are named, with a way to go on."""
import gzip

import numpy as np
import pytest
import torch
from torch import nn

from mmconvmixer import zoo
from mmconvmixer._support.atomic_write import check_writable
from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.errors import BadCheckpoint, MMConvMixerError
from mmconvmixer.zoo import resolve_checkpoint

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()


def exported(path):
    program = torch.export.export(NET, (torch.rand(1, 3, 8, 8),))
    torch.export.save(program, path.with_name('net.pt2'))
    path.with_name('net.pt2').rename(path)


def scripted(path):
    torch.jit.script(NET).save(path)


def distributed(path):
    import torch.distributed.checkpoint as dcp
    dcp.save(dict(model=NET.state_dict()), checkpoint_id=path)


def folder_with(*names):
    def write(path):
        path.mkdir()
        for name in names:
            (path / name).touch()
    return write


def content(data):
    return lambda path: path.write_bytes(data)


KINDS = {
    'torch.export': (exported, r'is a program of torch\.export; .*torch\.export\.load'),
    'TorchScript': (scripted, r'is a TorchScript program; .*torch\.jit\.load'),
    'DCP': (distributed, r'is a checkpoint of torch\.distributed\.checkpoint; .*dcp_to_torch'),
    'parts': (folder_with('model.safetensors.index.json', 'model-00001-of-00002.safetensors'),
              'is a checkpoint in several parts'),
    'TensorFlow': (folder_with('ck.index', 'ck.data-00000-of-00001'), 'is a TensorFlow checkpoint'),
    'Git LFS': (content(b'version https://git-lfs.github.com/spec/v1\noid sha256:1'),
                'is a pointer of Git LFS'),
    'web page': (content(b'<!DOCTYPE html>\n<html>'), 'is a web page'),
}


@pytest.mark.parametrize(('write', 'said'), KINDS.values(), ids=KINDS)
def test_a_foreign_kind_is_named_whatever_its_name_is(write, said, tmp_path):
    path = tmp_path / 'net.pth'
    write(path)
    with pytest.raises(BadCheckpoint, match=f'net.pth {said}') as caught:
        read_checkpoint(resolve_checkpoint(path))
    assert 'damaged' not in str(caught.value) and 'cut short' not in str(caught.value)


def test_a_part_of_a_distributed_checkpoint_is_named(tmp_path):
    distributed(tmp_path / 'run')
    with pytest.raises(BadCheckpoint, match=r'is a part of a checkpoint of torch\.distributed'):
        read_checkpoint(tmp_path / 'run' / '__0_0.distcp')


def test_what_the_advice_makes_of_a_distributed_checkpoint_is_read(tmp_path):
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
    distributed(tmp_path / 'run')
    dcp_to_torch_save(tmp_path / 'run', tmp_path / 'net.pth')
    assert torch.equal(read_checkpoint(tmp_path / 'net.pth')['model']['0.bias'], NET[0].bias)


def test_what_the_advice_makes_of_an_exported_program_is_read(tmp_path):
    exported(tmp_path / 'net.pt2')
    torch.save(torch.export.load(tmp_path / 'net.pt2').state_dict, tmp_path / 'new.pth')
    assert torch.equal(state_dict_of(read_checkpoint(tmp_path / 'new.pth'))['0.bias'], NET[0].bias)


def test_bfloat16_arrays_in_an_npz_are_read(tmp_path):
    """numpy has no bfloat16 and saves it as two bytes without a type."""
    values = torch.tensor([[1.5, -2., 3e38], [0., 7., 1e-30]], dtype=torch.bfloat16)
    np.savez(tmp_path / 'net.npz', a=values.view(torch.int16).numpy().view('V2'))
    got = read_checkpoint(tmp_path / 'net.npz')['state_dict']['a']
    assert got.dtype is torch.bfloat16 and torch.equal(got, values)


def test_a_compressed_file_is_named(tmp_path):
    (tmp_path / 'net.pth').write_bytes(gzip.compress(b'weights' * 100))
    with pytest.raises(BadCheckpoint, match='compressed with gzip; unpack it'):
        read_checkpoint(tmp_path / 'net.pth')


@pytest.mark.parametrize('name', ['n' * 300 + '.pth', 'n' * 5000, 'a/' * 3000 + 'b', 'a\0b'],
                         ids=['name', 'long name', 'path', 'null'])
def test_a_path_that_no_file_can_have_is_one_line(name):
    for find in (read_checkpoint, resolve_checkpoint):
        with pytest.raises(FileNotFoundError) as caught:
            find(name)
        assert len(str(caught.value)) < 1000 and len(str(caught.value).splitlines()) == 1


def test_a_name_that_is_not_utf_8_is_one_line(tmp_path):
    torch.save(NET.state_dict(), tmp_path / 'net.pth')
    path = (tmp_path / 'net.pth').rename(tmp_path / 'caf\udce9.pth')
    with pytest.raises(BadCheckpoint, match=r'caf\\udce9.pth is not a name in UTF-8') as caught:
        read_checkpoint(resolve_checkpoint(path))
    assert str(caught.value).encode()


def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / 'model.safetensors').touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="checkpoint '' is not there"):
        read_checkpoint('')


@pytest.mark.parametrize('use', [
    lambda name: convert(zoo.find('convmixer-64-4_digits').weights, name),
    lambda name: check_writable(name), lambda name: zoo.load_config(name),
    lambda name: zoo.resolve_checkpoint(f'http://127.0.0.1:1/{name}')],
    ids=['output', 'folder', 'config', 'URL'])
def test_a_name_that_no_file_can_have_is_one_line_everywhere(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MMConvMixerError) as caught:
        use('n' * 300 + '.pth')
    assert len(str(caught.value).splitlines()) == 1

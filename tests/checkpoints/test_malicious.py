"""Malicious files: no code in them runs, and the error says what is wrong with each."""
import builtins
import io
import json
import os
import pickle
import struct
import subprocess
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import read_architecture
from mmconvmixer.errors import BadCheckpoint, CheckpointMismatch, UnsafeCheckpoint

LINE = dict(type='ImageClassifier',
            backbone=dict(type='ConvMixer', arch=dict(
                embed_dims=4, depth=1, patch_size=2, kernel_size=3)),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=2, in_channels=4))


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'strange.pth'


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return build_model(LINE).state_dict()


@pytest.fixture
def proof(tmp_path):
    """A path that exists only if code from a file has run."""
    return tmp_path / 'it ran'


class Trap:
    """Pickles as a call, which unpickling executes."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def saved(content, zipped=True):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('place', ['weights', 'meta', 'key', 'optimizer', 'all'])
@pytest.mark.parametrize('function, make', [
    ('system', lambda proof: Trap(os.system, f'touch "{proof}"')),
    ('eval', lambda proof: Trap(builtins.eval, f'open({str(proof)!r}, "w")')),
    ('exec', lambda proof: Trap(builtins.exec, f'open({str(proof)!r}, "w")')),
    ('Popen', lambda proof: Trap(subprocess.Popen, ['touch', str(proof)])),
    ('open', lambda proof: Trap(builtins.open, str(proof), 'w')),
    ('loads', lambda proof: Trap(pickle.loads, pickle.dumps(Trap(os.mkdir, str(proof))))),
])
def test_code_in_a_pickle_is_named_and_not_run(
        path, weights, proof, function, make, place, zipped):
    trap = make(proof)
    content = dict(state_dict=dict(weights), meta={}, optimizer={})
    if place == 'weights':
        content['state_dict']['backbone.stem.0.weight'] = trap
    elif place == 'key':
        content[(trap,)] = 1
    elif place == 'all':
        content = trap
    else:
        content[place]['hidden'] = [dict(deep=(trap,))]
    path.write_bytes(saved(content, zipped))
    with pytest.raises(UnsafeCheckpoint, match=rf'asks for [\w.]*{function}, which could run code'):
        read_checkpoint(path)
    assert not proof.exists()


def test_pickled_objects_in_an_npz_are_refused(path, proof):
    buffer = io.BytesIO()
    np.savez(buffer, **{'head/bias': np.array([Trap(os.mkdir, str(proof))], dtype=object)})
    path.write_bytes(buffer.getvalue())
    with pytest.raises(UnsafeCheckpoint, match='head/bias in it is pickled objects'):
        read_checkpoint(path)
    assert not proof.exists()


@pytest.mark.parametrize('name', ['../../escaped.npy', '/escaped.npy', 'C:/escaped.npy',
                                  r'..\escaped.npy', 'archive/../../data.npy'])
@pytest.mark.parametrize('kind', ['npz', 'pth'])
def test_a_part_that_leads_out_of_its_folder_is_refused(path, weights, name, kind):
    path.write_bytes(saved(weights))
    with zipfile.ZipFile(path, 'w' if kind == 'npz' else 'a') as archive:
        archive.writestr(name, b'')
    with pytest.raises(UnsafeCheckpoint, match='leads out of any folder'):
        read_checkpoint(path)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(path):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive, \
            archive.open('stem/kernel.npy', 'w') as part:
        for _ in range(100):
            part.write(bytes(1 << 20))
    assert path.stat().st_size < 200_000
    with pytest.raises(UnsafeCheckpoint, match=r'would unpack to 104857600'):
        read_checkpoint(path)


def test_an_archive_that_lies_about_its_size_is_refused(path):
    """The sizes in an archive need not be the sizes of its parts."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('stem/kernel.npy', bytes(10 << 20))
    content = path.read_bytes().replace(struct.pack('<I', 10 << 20), struct.pack('<I', 100))
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match='cut short or damaged|checksum'):
        read_checkpoint(path)


def test_a_huge_tensor_that_repeats_little_data_is_refused(path):
    torch.save({'0.weight': torch.ones(1).expand(1 << 30, 100)}, path)
    with pytest.raises(BadCheckpoint, match='repeat the same 4 bytes'):
        read_checkpoint(path)


def test_many_tensors_that_repeat_little_data_are_refused(path):
    torch.save({f'{number}.weight': torch.ones(1).expand(1 << 26) for number in range(5)}, path)
    with pytest.raises(BadCheckpoint, match='repeat the same 20 bytes'):
        read_checkpoint(path)


def test_a_file_that_claims_to_hold_more_than_its_size_is_refused(path):
    """torch's format before 1.6 allocates the claimed size and reads what there is."""
    content = saved({'0.weight': torch.ones(1000)}, zipped=False)
    path.write_bytes(content.replace(pickle.dumps(1000, 2)[2:-1], pickle.dumps(60000, 2)[2:-1]))
    with pytest.raises(BadCheckpoint):
        read_checkpoint(path)


def test_content_that_contains_itself_is_read_completely(path):
    content = {'0.weight': torch.ones(1)}
    for _ in range(60):  # 2^60 paths lead to the tensor
        content = dict(one=content, other=content)
    content['again'] = content
    torch.save(content, path)
    with pytest.raises(BadCheckpoint, match='holds no weights'):
        state_dict_of(read_checkpoint(path), str(path))


@pytest.mark.parametrize('tensor', [
    torch.ones(2, device='meta'), torch.ones(2).to_sparse()], ids=['meta', 'sparse'])
def test_a_tensor_without_plain_numbers_is_refused(path, weights, tensor):
    torch.save({**weights, 'head.fc.bias': tensor}, path)
    said = 'expected a dense tensor of plain numbers|damaged|not a PyTorch'
    with pytest.raises(BadCheckpoint, match=said):
        state_dict_of(read_checkpoint(path), str(path))


@pytest.mark.parametrize('meta', ['text', 3, [1], dict(converted=3),
                                  dict(converted=dict(numerics=[]))], ids=str)
def test_meta_of_an_unexpected_type_is_ignored(path, weights, meta):
    torch.save(dict(state_dict=weights, meta=meta), path)
    load_weights(build_model(LINE), state_dict_of(read_checkpoint(path)), str(path))


def test_an_npy_header_that_claims_more_than_there_is_is_refused(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, dict(descr='<f4', fortran_order=False, shape=(1 << 40,)))
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('stem/kernel.npy', header.getvalue())
    with pytest.raises(BadCheckpoint, match='damaged, or holds something other'):
        read_checkpoint(path)


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
def test_nan_and_infinity_load_with_a_warning(path, weights, value, warned):
    weights['head.fc.bias'][0] = value
    torch.save(weights, path)
    got = state_dict_of(read_checkpoint(path), str(path))
    assert not got['head.fc.bias'].isfinite().all()
    assert len(warned) == 1
    assert 'strange.pth has NaN or infinity in head.fc.bias' in warned[0]


@pytest.mark.parametrize('dtype', [torch.int64, torch.uint8, torch.bool])
def test_integers_are_not_weights(path, weights, dtype):
    weights['head.fc.weight'] = weights['head.fc.weight'].to(dtype)
    torch.save(weights, path)
    with pytest.raises(CheckpointMismatch, match='1 with integer values.*head.fc.weight'):
        load_weights(build_model(LINE), state_dict_of(read_checkpoint(path)), str(path))


def test_tensors_that_share_memory_are_separate_once_loaded(path, weights):
    weights['backbone.stem.2.bias'] = weights['backbone.stem.2.weight']
    torch.save(weights, path)
    model = build_model(LINE)
    load_weights(model, state_dict_of(read_checkpoint(path)), str(path))
    norm = model.backbone.stem[2]
    with torch.no_grad():
        norm.weight.add_(1)
    assert torch.equal(norm.bias + 1, norm.weight)


def test_two_parts_of_one_name_are_refused(path, weights):
    path.write_bytes(saved(weights))
    with zipfile.ZipFile(path, 'a') as archive, pytest.warns(UserWarning, match='Duplicate name'):
        name = next(name for name in archive.namelist() if name.endswith('data/0'))
        archive.writestr(name, b'another')
    with pytest.raises(BadCheckpoint, match='two parts of the name .*data/0'):
        read_checkpoint(path)


def test_one_weight_with_and_without_a_prefix_is_refused(path, weights):
    torch.save({**weights, 'module.head.fc.bias': torch.zeros(2)}, path)
    with pytest.raises(BadCheckpoint, match='with and without the prefix module'):
        state_dict_of(read_checkpoint(path), str(path))


def test_one_name_twice_in_safetensors_is_refused(path):
    content = save(dict(a=torch.zeros(2), b=torch.ones(2)))
    path.write_bytes(content.replace(b'"b"', b'"a"'))
    with pytest.raises(BadCheckpoint, match='has a twice'):
        read_checkpoint(path)


def test_very_many_names_take_little_time(path):
    header = {f'{number}': dict(dtype='F32', shape=[0], data_offsets=[0, 0])
              for number in range(100_000)}
    text = json.dumps(header).encode()[:-1] + b',"7":{}}'
    path.write_bytes(struct.pack('<Q', len(text)) + text)
    with pytest.raises(BadCheckpoint, match='has 7 twice'):
        read_checkpoint(path)


@pytest.mark.parametrize('method', [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compression_that_numpy_never_uses_is_refused(path, method):
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr('a.npy', bytes(100))
    with pytest.raises(BadCheckpoint, match='has a compressed part'):
        read_checkpoint(path)


@pytest.mark.parametrize('header', [
    dict(a=dict(dtype='F32', shape=[1 << 40], data_offsets=[0, 8])),
    dict(a=dict(dtype='F32', shape=[2], data_offsets=[0, 1 << 40])),
    dict(a=dict(dtype='F32', shape=[2], data_offsets=[8, 0])),
    dict(a=dict(dtype='F32', shape=[-2], data_offsets=[0, 8])),
    dict(a=dict(dtype='O', shape=[2], data_offsets=[0, 8])),
    dict(a=dict(dtype='F32', shape=[2], data_offsets=[0, 8]),
         b=dict(dtype='F32', shape=[2], data_offsets=[0, 8])),
    dict(a=None), dict(a=[]), dict(__metadata__=3), [], {},
], ids=str)
def test_an_impossible_safetensors_header_is_refused(path, header):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + bytes(8))
    with pytest.raises(BadCheckpoint):
        state_dict_of(read_checkpoint(path), str(path))


def test_a_header_of_endless_brackets_is_refused(path):
    text = b'{"a":' + b'[' * 100_000
    path.write_bytes(struct.pack('<Q', len(text)) + text)
    with pytest.raises(BadCheckpoint, match='cut short or damaged'):
        read_checkpoint(path)


def test_an_archive_of_very_many_parts_is_refused(path, weights, monkeypatch):
    monkeypatch.setattr('mmconvmixer.checkpoints.readers.zip_archive._MOST_PARTS', len(weights))
    torch.save(weights, path)  # whose archive has a few more parts
    with pytest.raises(BadCheckpoint, match='parts, far more than a network has weights'):
        read_checkpoint(path)


def test_a_header_that_is_longer_than_names_need_is_refused(path, weights, monkeypatch):
    monkeypatch.setattr('mmconvmixer.checkpoints.readers.safetensors_file._LONGEST_PARSED', 100)
    path.write_bytes(save(dict(weights)))
    with pytest.raises(BadCheckpoint, match='its header has .* bytes, far more than the names'):
        read_checkpoint(path)


@pytest.mark.parametrize('key', [
    '9' * 5000 + '.weight', 'backbone.stages.' + '9' * 5000 + '.1.bias', 'k' * 1_000_000],
    ids=['number', 'block', 'long'])
def test_a_strange_name_of_a_tensor_is_named_in_one_short_line(path, weights, key):
    torch.save({**weights, key: torch.ones(1)}, path)
    with pytest.raises(BadCheckpoint, match=f'{key[0]}.* characters .* does not belong') as caught:
        read_architecture(state_dict_of(read_checkpoint(path), str(path)), str(path))
    assert len(str(caught.value)) < 1000


def test_a_deep_key_is_shown_in_part(path):
    deep = ()
    for _ in range(100):
        deep = (deep,)
    torch.save({deep: 1}, path)
    with pytest.raises(BadCheckpoint, match=r'holds no weights: .*got the keys [(]+\.\.\.'):
        state_dict_of(read_checkpoint(path), str(path))

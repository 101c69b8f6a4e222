"""Files of torch.save with a newer pickle protocol are read as safely as those with protocol 2."""
import os
from argparse import Namespace
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint

WEIGHTS = OrderedDict(weight=torch.arange(6.).reshape(2, 3), half=torch.ones(2).bfloat16(),
                      shared=torch.arange(3))
WEIGHTS['again'] = WEIGHTS['weight'].t()
META = dict(epoch=3, large=2**70, negative=-5, share=0.5, nothing=None, yes=True, text='naïve ß',
            long='x' * 300, raw=b'\0\xff', pair=(1, 2), four=(1, 2, 3, 4), empty=((), [], {}),
            texts=['same', 'same', 'weight'], options=Namespace(lr=0.1), buffer=bytearray(b'ab'))
CHANGED = [2, 3, 4, 5]


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'net.pth'


def save(content, path, protocol, zipped=True):
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)


@pytest.mark.parametrize('protocol', CHANGED)
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_content_is_the_same_in_every_protocol(path, protocol, zipped):
    save(dict(state_dict=WEIGHTS, meta=META), path, protocol, zipped)
    got = read_checkpoint(path)
    assert got['meta'] == META
    assert list(got['state_dict']) == list(WEIGHTS)
    for key, value in WEIGHTS.items():
        assert torch.equal(got['state_dict'][key], value)
        assert got['state_dict'][key].dtype == value.dtype
    assert (got['state_dict']['again'].data_ptr() == got['state_dict']['weight'].data_ptr())


@pytest.mark.parametrize('protocol', CHANGED)
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_arrays_and_histories_are_too(path, protocol, zipped):
    arrays = dict(f8=np.arange(6.).reshape(2, 3), fortran=np.asfortranarray(np.eye(3, 2)),
                  u1=np.arange(3, dtype=np.uint8), scalar=np.float32(1.5), flag=np.bool_(True))
    history = HistoryBuffer([1., 3.], [1, 1])
    save(dict(weights=WEIGHTS, history=history, **arrays), path, protocol, zipped)
    got = read_checkpoint(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype
    assert got['history'].statistics('mean', 2) == 2
    np.testing.assert_array_equal(got['history'].data[0], [1., 3.])


def test_the_name_of_a_class_can_be_a_text_too(path):
    """Pickles remember texts: the name of a module may come before or after its use as a text."""
    content = dict(texts=['torch', 'collections', 'OrderedDict'], weights=WEIGHTS,
                   after=['_rebuild_tensor_v2', 'torch._utils', 'collections', 'OrderedDict'])
    for protocol in CHANGED:
        save(content, path, protocol)
        got = read_checkpoint(path)
        assert got['texts'] == content['texts'] and got['after'] == content['after']


class Call:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', CHANGED)
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
@pytest.mark.parametrize(('make', 'name'), [
    (lambda trace: Call(os.mkdir, trace), 'mkdir'),
    (lambda trace: Call(eval, f'open({trace!r}, "w")'), 'eval'),
    (lambda trace: Call(getattr, HistoryBuffer, '__init__'), 'getattr'),
    (lambda trace: np.ndarray.tofile, 'tofile|getattr'),
    (lambda trace: HistoryBuffer.register_statistics, 'getattr|register_statistics')])
def test_code_is_refused_and_not_run(path, tmp_path, protocol, zipped, make, name):
    trace = tmp_path / 'trace'
    save(dict(state_dict=WEIGHTS, hook=make(str(trace))), path, protocol, zipped)
    with pytest.raises(UnsafeCheckpoint, match=f'({name}).*, which could run code'):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize('protocol', [4, 5])
@pytest.mark.parametrize('value', [{'a', 'b'}, frozenset({1})],
                         ids=lambda value: type(value).__name__)
def test_what_has_no_older_form_is_named_with_its_protocol(path, protocol, value):
    save(dict(state_dict=WEIGHTS, value=value), path, protocol)
    said = f'pickle of protocol {protocol} .*no older form.*pickle_protocol=2'
    with pytest.raises(BadCheckpoint, match=said):
        read_checkpoint(path)


@pytest.mark.parametrize('protocol', [3, 4, 5])
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_a_file_cut_short_anywhere_is_a_bad_checkpoint(path, protocol, zipped):
    save(dict(state_dict=WEIGHTS, meta=META), path, protocol, zipped)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(BadCheckpoint, match='net.pth'):
            read_checkpoint(path)

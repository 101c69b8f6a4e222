import errno
import gzip
import io
import os
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound, OutOfResources, UnsafeCheckpoint

WEIGHTS = OrderedDict(weight=torch.arange(6.).reshape(2, 3), bias=torch.ones(2))


def saved(content, zipped=True):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'some.pth'


class Line(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, inputs, mode):
        return dict(loss=self.linear(inputs).square().mean())


@pytest.fixture(scope='module')
def from_mmengine(tmp_path_factory):
    """A checkpoint that plain mmengine wrote, and its runner."""
    folder = tmp_path_factory.mktemp('mmengine')
    runner = Runner(
        Line(), str(folder), train_cfg=dict(by_epoch=True, max_epochs=1),
        train_dataloader=torch.utils.data.DataLoader(
            [dict(inputs=torch.rand(3))] * 4, batch_size=2),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        param_scheduler=dict(type='LinearLR', by_epoch=False),
        default_hooks=dict(checkpoint=dict(type=CheckpointHook, interval=1)),
        experiment_name='test_read')
    runner.train()
    return folder / 'epoch_1.pth', runner


# Files that load

def test_a_checkpoint_of_mmengine_loads_completely(from_mmengine):
    path, runner = from_mmengine
    checkpoint = read_checkpoint(path)
    assert checkpoint['meta']['epoch'] == 1
    assert checkpoint['optimizer']['param_groups'][0]['lr'] == pytest.approx(
        runner.optim_wrapper.optimizer.param_groups[0]['lr'])
    torch.testing.assert_close(
        state_dict_of(checkpoint), dict(runner.model.state_dict()), rtol=0, atol=0)
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    expected = runner.message_hub.log_scalars['train/loss']
    np.testing.assert_array_equal(history.data, expected.data)
    assert history.statistics('mean', 2) == expected.statistics('mean', 2)


def test_data_types_are_allowed_only_while_a_checkpoint_is_read(from_mmengine):
    path, _ = from_mmengine
    read_checkpoint(path)
    with pytest.raises(Exception, match='HistoryBuffer'):
        torch.load(path, weights_only=True)


def test_reading_does_not_change_the_statistics_of_histories(from_mmengine):
    before = dict(HistoryBuffer._statistics_methods)
    read_checkpoint(from_mmengine[0])
    assert before == HistoryBuffer._statistics_methods
    assert HistoryBuffer([1., 3.], [1, 1]).statistics('max') == 3


def test_histories_can_compute_in_a_process_that_has_made_none_before(
        from_mmengine, monkeypatch):
    monkeypatch.setattr(HistoryBuffer, '_statistics_methods', {})
    hub = read_checkpoint(from_mmengine[0])['message_hub']
    history = hub['log_scalars']['train/loss']
    for name in ('mean', 'min', 'max', 'current'):
        assert history.statistics(name) == getattr(history, name)()


@pytest.mark.parametrize('dtype', [np.bool_, np.uint8, np.int64, np.float32, np.float64])
def test_numpy_arrays_and_scalars_load(path, dtype):
    torch.save(dict(weights=WEIGHTS, array=np.array([[0, 1], [2, 3]], dtype),
                    scalar=dtype(1)), path)
    checkpoint = read_checkpoint(path)
    np.testing.assert_array_equal(checkpoint['array'], np.array([[0, 1], [2, 3]], dtype))
    assert checkpoint['array'].dtype == dtype
    assert checkpoint['scalar'] == 1


@pytest.mark.parametrize('old', [b'numpy.core.multiarray', b'numpy._core.multiarray'])
def test_arrays_written_by_numpy_1_and_2_load(path, old):
    buffer = io.BytesIO()
    torch.save(dict(array=np.arange(3.)), buffer, _use_new_zipfile_serialization=False)
    data = re.sub(rb'numpy\._?core\.multiarray', old, buffer.getvalue())
    path.write_bytes(data)
    np.testing.assert_array_equal(read_checkpoint(path)['array'], [0, 1, 2])


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_both_file_formats_load_by_path_or_name(path, zipped):
    path.write_bytes(saved(dict(state_dict=WEIGHTS), zipped))
    for name in (path, str(path)):
        torch.testing.assert_close(read_checkpoint(name)['state_dict'], WEIGHTS)


def test_tensors_go_to_the_given_device(path):
    torch.save(dict(WEIGHTS), path)
    assert read_checkpoint(path, map_location='meta')['weight'].is_meta
    assert read_checkpoint(path)['weight'].device.type == 'cpu'


# Files that are refused

class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
@pytest.mark.parametrize('function, name', [
    (os.system, 'system'), (eval, 'eval'), (os.mkdir, 'mkdir'), (print, 'print')])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, function, name, zipped):
    path, trace = tmp_path / 'bad.pth', tmp_path / 'trace'
    argument = {os.system: f'touch {trace}', os.mkdir: str(trace), print: 'ran',
                eval: f'open({str(trace)!r}, "w")'}[function]
    path.write_bytes(saved(dict(state_dict=Call(function, argument)), zipped))
    with pytest.raises(UnsafeCheckpoint, match=rf'bad.pth was not loaded.*\b{name}\b'):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize('owner, name', [
    (HistoryBuffer, '__init__'), (HistoryBuffer, 'register_statistics'),
    (HistoryBuffer, '__subclasses__'), (np.ndarray, 'tofile'), (torch.Tensor, 'mean')])
def test_getattr_reaches_nothing_but_the_statistics_of_a_history(path, owner, name):
    torch.save(dict(weights=WEIGHTS, x=Call(getattr, owner, name)), path)
    with pytest.raises(BadCheckpoint):
        read_checkpoint(path)


def test_a_whole_module_is_refused(path):
    torch.save(nn.Linear(3, 2), path)
    with pytest.raises(UnsafeCheckpoint, match='Linear'):
        read_checkpoint(path)


@pytest.mark.parametrize('dtype', ['O', Call(np.dtype, 'O')], ids=['name', 'dtype'])
def test_bytes_never_become_addresses_of_objects(path, dtype):
    """An array of objects would interpret bytes of the file as addresses."""
    address = id(None).to_bytes(8, 'little')  # an object that can't be freed
    torch.save(dict(weights=WEIGHTS, x=Call(np.ndarray, (1,), dtype, address)), path)
    with pytest.raises(BadCheckpoint):
        read_checkpoint(path)


@pytest.mark.parametrize('name', ['missing.pth', '.', ''])
def test_a_missing_file_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='checkpoint .* is not there') as caught:
        read_checkpoint(name)
    assert isinstance(caught.value, CheckpointNotFound)


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_a_file_cut_short_anywhere_is_a_bad_checkpoint(path, zipped):
    data = saved(dict(state_dict=WEIGHTS, epoch=1, message='x' * 20), zipped)
    strange = set()
    for size in range(0, len(data), 3):
        path.write_bytes(data[:size])
        try:
            read_checkpoint(path)
        except BadCheckpoint as error:
            assert path.name in str(error)
        except Exception as error:
            strange.add(f'{type(error).__name__}: {error}')
        else:
            strange.add(f'{size} of {len(data)} bytes loaded')
    assert strange == set()


def test_a_file_cut_short_is_reported_as_such(path):
    data = saved(WEIGHTS)
    for part in (b'', data[:100], data[:-1]):
        path.write_bytes(part)
        said = f'some.pth is cut short or damaged .{len(part)} bytes'
        with pytest.raises(BadCheckpoint, match=said):
            read_checkpoint(path)


@pytest.mark.parametrize('text', [
    'hello', '<!DOCTYPE html>\n<html>', '{"a": 1}', '[1, 2]\n', '0.5\n', 'a,b\n1,2\n',
    'Not found', 'Error 404', 'Readme', 'Bad gateway', 'tensor', 'u', '(', '%PDF-1.7',
    '\x89PNG\r\n\x1a\n', 'PK'])
def test_a_file_of_another_kind_is_a_bad_checkpoint(path, text):
    path.write_bytes(text.encode('latin1'))
    with pytest.raises(BadCheckpoint, match='some.pth is') as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value)


def test_a_compressed_checkpoint_is_a_bad_checkpoint(path):
    path.write_bytes(gzip.compress(saved(WEIGHTS)))
    with pytest.raises(BadCheckpoint, match='some.pth is not a PyTorch checkpoint'):
        read_checkpoint(path)


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_a_damaged_file_is_a_bad_checkpoint_or_loads(path, zipped):
    data = saved(dict(state_dict=WEIGHTS, history=HistoryBuffer([1.], [1])), zipped)
    generator = np.random.default_rng(0)
    strange, refused = set(), 0
    for _ in range(200):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[generator.integers(0, len(data), 3)] = generator.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            read_checkpoint(path)
        except BadCheckpoint:
            refused += 1
        except Exception as error:
            strange.add(f'{type(error).__name__}: {error}')
    assert refused > 50
    assert strange == set()


@pytest.mark.parametrize('content, kind', [
    ([1, 2], 'list'), (torch.ones(3), 'Tensor'), (1, 'int'), ('text', 'str'),
    (None, 'NoneType')])
def test_a_file_that_holds_no_dict_is_a_bad_checkpoint(path, content, kind):
    torch.save(content, path)
    with pytest.raises(BadCheckpoint, match=f'some.pth holds a {kind}'):
        read_checkpoint(path)


# The weights in a checkpoint

@pytest.mark.parametrize('checkpoint', [
    WEIGHTS, dict(WEIGHTS), dict(state_dict=WEIGHTS),
    dict(state_dict=WEIGHTS, meta=dict(epoch=1), optimizer={}),
    {f'module.{key}': value for key, value in WEIGHTS.items()},
    dict(state_dict={f'module.{key}': value for key, value in WEIGHTS.items()})])
def test_weights_are_found_with_or_without_wrapping(checkpoint):
    torch.testing.assert_close(state_dict_of(checkpoint), dict(WEIGHTS))


def test_weights_are_saved_as_a_plain_state_dict(path):
    torch.save(dict(state_dict=state_dict_of(WEIGHTS)), path)
    again = torch.load(path, weights_only=True)['state_dict']
    torch.testing.assert_close(dict(again), dict(WEIGHTS))


def test_only_a_leading_module_is_removed():
    weights = {'module.a.module.b': torch.ones(1), 'c.module.d': torch.ones(1)}
    assert list(state_dict_of(weights)) == ['a.module.b', 'c.module.d']


@pytest.mark.parametrize('checkpoint', [
    {}, dict(state_dict={}), dict(state_dict=None), dict(state_dict=[torch.ones(1)]),
    dict(epoch=1), dict(model=dict(WEIGHTS)), dict(state_dict=dict(a=1)),
    {**WEIGHTS, 'epoch': 3}, {0: torch.ones(1)}, dict(state_dict={0: torch.ones(1)})],
    ids=str)
def test_a_dict_without_weights_is_a_bad_checkpoint(checkpoint):
    with pytest.raises(BadCheckpoint, match='some.pth holds no weights') as caught:
        state_dict_of(checkpoint, 'some.pth')
    assert all(str(key) in str(caught.value) for key in checkpoint)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(('error', 'said'), [
    (MemoryError(), r'\d+ bytes. needs more memory than there is'),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 'needs more memory than there is'),
])
def test_what_the_machine_lacks_is_not_blamed_on_the_file(path, monkeypatch, error, said):
    torch.save(WEIGHTS, path)

    def fails(*args, **options):
        raise error
    monkeypatch.setattr(torch, 'load', fails)
    with pytest.raises(BadCheckpoint, match=f'some.pth .*{said}'):
        read_checkpoint(path)


@pytest.mark.parametrize('zipped', [True, False])
def test_a_file_of_torch_save_may_have_the_suffix_of_safetensors(tmp_path, zipped):
    path = tmp_path / 'net.safetensors'
    path.write_bytes(saved(WEIGHTS, zipped))
    assert torch.equal(read_checkpoint(path)['weight'], WEIGHTS['weight'])


def test_too_few_file_handles_are_not_blamed_on_the_file(path, monkeypatch):
    torch.save(WEIGHTS, path)

    def fails(*args, **options):
        raise OSError(errno.EMFILE, 'Too many open files')
    monkeypatch.setattr(torch, 'load', fails)
    with pytest.raises(OutOfResources, match='no file handles left .*Too many open files'):
        read_checkpoint(path)

import json
import platform
import sys

import pytest

from mmconvmixer.engine.cpu import keep_freed_memory

STEPS, TENSORS = 4, 4
SIZES = 16, 64  # in MiB; glibc has another limit at 32

# glibc's default limits, set so that they stay fixed. Otherwise glibc raises them when large
# blocks are freed, and how much memory it returns depends on the other blocks.
LIMITS = 'glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=131072'

MEASURE = f'''
import json, resource
import torch
from mmconvmixer.engine.cpu import keep_freed_memory

def faults(size, warm_up):
    for _ in range(warm_up):  # the first blocks always cause page faults
        [torch.ones(size * 2**18) for _ in range({TENSORS})]  # of 4 bytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({STEPS}):
        [torch.ones(size * 2**18) for _ in range({TENSORS})]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = [faults(size, warm_up=2) for size in {SIZES}]
done = DO
print(json.dumps([done, before, [faults(size, warm_up=1) for size in {SIZES}]]))
'''


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='other C libraries are left alone')
@pytest.mark.parametrize('do', ['keep_freed_memory()', 'None'])
def test_freed_memory_is_reused_without_page_faults(shell, do):
    ran = shell([sys.executable, '-c', MEASURE.replace('DO', do)],
                env={**shell.keywords['env'], 'GLIBC_TUNABLES': LIMITS})
    assert ran.returncode == 0, ran.stderr
    done, *counts = json.loads(ran.stdout)
    assert done is (None if do == 'None' else True)
    for before, after in zip(*counts, strict=True):
        # 16 MiB are 4,096 pages of 4 KiB, or 8 of 2 MiB where the kernel gives such.
        assert before >= 8 * STEPS * TENSORS
        if do == 'None':
            assert after > 0.9 * before
        else:
            assert after < 0.1 * before  # the place of one of the 16 tensors may be in use


def test_nothing_changes_for_other_c_libraries(monkeypatch):
    monkeypatch.setattr(platform, 'libc_ver', lambda: ('', ''))
    monkeypatch.setattr('ctypes.CDLL', None)  # would fail if it were called
    assert keep_freed_memory() is False


@pytest.mark.parametrize('device, times', [('cpu', 1), ('cuda', 0)])
def test_only_training_on_a_cpu_keeps_freed_memory(train, tmp_path, monkeypatch, device, times):
    class Stop(Exception):
        pass

    asked = []

    def stop(cfg, prepared):
        raise Stop

    monkeypatch.setattr('mmconvmixer.apis.training.get_device', lambda: device)
    monkeypatch.setattr('mmconvmixer.apis.training.keep_freed_memory', lambda: asked.append(1))
    monkeypatch.setattr('mmconvmixer.apis.training.Runner.from_cfg', stop)
    with pytest.raises(Stop):
        train(tmp_path / 'run')
    assert len(asked) == times


FLUSH = '''
import torch
from mmconvmixer.engine.cpu import flush_denormals

done = flush_denormals()
torch.set_num_threads(2)
tiny = torch.full((1_000_000,), 1e-38, requires_grad=True)
shrunk = tiny * 0.01  # large enough for both threads
shrunk.backward(torch.full_like(tiny, 1e-37))
print(done, int(shrunk.count_nonzero()), int((tiny.grad != 0).sum()))
'''


@pytest.mark.skipif(platform.machine() not in ('x86_64', 'AMD64'), reason='a setting of x86')
def test_denormals_become_zero_in_every_thread_forward_and_backward(shell):
    done = shell(['python', '-c', FLUSH])
    assert done.stdout.split() == ['True', '0', '0'], done.stderr
    kept = shell(['python', '-c', FLUSH.replace('flush_denormals()', 'False')])
    assert kept.stdout.split() == ['False', '1000000', '1000000'], kept.stderr

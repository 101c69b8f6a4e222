import subprocess
import sys

import pytest
import torch

from mmconvmixer.cli.common import end_process, exit_code
from mmconvmixer.engine import launch
from mmconvmixer.errors import BadConfig


@pytest.mark.parametrize('error, code', [(None, 0), (BadConfig('no such key'), 2)])
def test_a_tool_leaves_its_process_group_with_and_without_an_error(tmp_path, capsys, error, code):
    def main():
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{tmp_path}/meeting', rank=0, world_size=1)
        if error:
            raise error

    assert exit_code(main) == code
    assert not torch.distributed.is_initialized()
    assert capsys.readouterr().err == ('error: no such key\n' if error else '')


FROZEN = '''
import gc
from mmconvmixer.cli.common import exit_code
gc.unfreeze()
for _ in range(2):
    exit_code(lambda: print(gc.get_freeze_count() > 100_000))
    gc.unfreeze()
'''


def test_what_is_imported_is_exempt_from_collections_once(shell):
    assert shell(['python', '-c', FROZEN]).stdout.split() == ['True', 'False']


GROUP = '''
import atexit, sys, torch
from mmconvmixer.cli.common import end_process, exit_code
def main():
    torch.distributed.init_process_group('gloo', init_method=sys.argv[1], rank=0, world_size=1)
    atexit.register(print, 'said at the end')
class StaysBehind:  # Python's shutdown deletes it last
    def __del__(self):
        print('deleted')
last = StaysBehind()
exit_code(main)
end_process(3)
'''


def test_a_process_of_a_group_ends_before_pythons_shutdown(tmp_path):
    """Otherwise gloo's threads can abort it, whatever its exit code."""
    done = subprocess.run([sys.executable, '-c', GROUP, f'file://{tmp_path}/meeting'],
                          capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert 'said at the end' in done.stdout and 'deleted' not in done.stdout


def test_any_other_process_ends_by_sys_exit(monkeypatch):
    monkeypatch.setattr(launch, '_gloo_processes', [])  # tests above joined groups
    with pytest.raises(SystemExit) as ended:
        end_process(3)
    assert ended.value.code == 3

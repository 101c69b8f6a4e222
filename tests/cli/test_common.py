import subprocess
import sys

import pytest
import torch

from mmconvmixer.cli.common import end, exit_code
from mmconvmixer.engine import launch
from mmconvmixer.errors import BadConfig


@pytest.mark.parametrize('error, code', [(None, 0), (BadConfig('no such key'), 2)])
def test_a_tool_leaves_its_process_group_whatever_its_end(tmp_path, capsys, error, code):
    def main():
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{tmp_path}/meeting', rank=0, world_size=1)
        if error:
            raise error

    assert exit_code(main) == code
    assert not torch.distributed.is_initialized()
    assert capsys.readouterr().err == ('error: no such key\n' if error else '')


GROUP = '''
import atexit, sys, torch
from mmconvmixer.cli.common import end, exit_code
def main():
    torch.distributed.init_process_group('gloo', init_method=sys.argv[1], rank=0, world_size=1)
    atexit.register(print, 'said at the end')
class StaysBehind:  # what Python takes down last
    def __del__(self):
        print('taken down')
last = StaysBehind()
exit_code(main)
end(3)
'''


def test_a_process_of_a_group_ends_before_python_is_taken_down(tmp_path):
    """Else gloo's threads can abort it, whatever it had to say."""
    done = subprocess.run([sys.executable, '-c', GROUP, f'file://{tmp_path}/meeting'],
                          capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert 'said at the end' in done.stdout and 'taken down' not in done.stdout


def test_any_other_process_ends_as_always(monkeypatch):
    monkeypatch.setattr(launch, '_of_gloo', [])  # tests above were in groups
    with pytest.raises(SystemExit) as ended:
        end(3)
    assert ended.value.code == 3

import pytest
import torch

from mmconvmixer.command_line import exit_code
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

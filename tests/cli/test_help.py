"""`--help` of every command and tool: one screen, with an example, at once."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmconvmixer.cli.main import COMMANDS

TOOLS = sorted(Path(__file__).parents[2].glob('tools/*.py'))
HEAVY = {'torch', 'numpy', 'mmengine', 'mmpretrain', 'mmcv', 'cv2', 'PIL', 'modelindex'}


def help_of(*command):
    """Return the lines of --help on 80 columns, and the names of all imported modules."""
    run = subprocess.run([sys.executable, '-X', 'importtime', *map(str, command), '--help'],
                         capture_output=True, text=True, env={**os.environ, 'COLUMNS': '80'})
    assert run.returncode == 0, run.stderr
    modules = {line.split('|')[-1].strip() for line in run.stderr.splitlines()
               if line.startswith('import time:')}
    assert 'argparse' in modules
    return run.stdout.splitlines(), modules


def check(lines, modules, prog):
    on_screen = sum(max(1, -(-len(line) // 80)) for line in lines)  # long ones are wrapped
    assert on_screen <= 40
    assert lines[0].startswith(f'usage: {prog}')
    assert any(line.startswith(f'    {prog} ') for line in lines), 'there is no example'
    assert not {name.split('.')[0] for name in modules} & HEAVY


@pytest.mark.parametrize('command', COMMANDS)
def test_a_command_explains_itself_on_one_screen_at_once(command):
    check(*help_of('-m', 'mmconvmixer', command), f'mmconvmixer {command}')


def test_the_list_of_commands_is_one_screen_at_once():
    lines, modules = help_of('-m', 'mmconvmixer')
    check(lines, modules, 'mmconvmixer')
    assert all(any(re.match(f'  {command} +[A-Z]', line) for line in lines)
               for command in COMMANDS)


@pytest.mark.parametrize('tool', TOOLS, ids=lambda path: path.stem)
def test_a_tool_explains_itself_on_one_screen_at_once(tool):
    check(*help_of(tool), f'python tools/{tool.name}')

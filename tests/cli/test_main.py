import subprocess
import sys

import pytest

from mmconvmixer import __version__
from mmconvmixer.cli import checkout, common, convert
from mmconvmixer.cli.main import COMMANDS, main

TOOLS = {'convert': 'convert_checkpoint'}
# 'predict' has no tool: mmpretrain's demo/ has it.
WITH_TOOL = [command for command in COMMANDS if command != 'predict']


@pytest.mark.parametrize('command', WITH_TOOL)
def test_a_command_and_its_tool_have_the_same_options(command, repo, monkeypatch, capsys):
    name = TOOLS.get(command, command).replace('-', '_')
    monkeypatch.setenv('COLUMNS', '200')
    with pytest.raises(SystemExit):
        main([command, '--help'])
    by_command = capsys.readouterr().out
    done = subprocess.run([sys.executable, repo / f'tools/{name}.py', '--help'], check=True,
                          capture_output=True, text=True)
    assert done.stdout == by_command.replace(f'mmconvmixer {command}', f'python tools/{name}.py')


def test_the_version_and_python_m():
    done = subprocess.run([sys.executable, '-m', 'mmconvmixer', '--version'], check=True,
                          capture_output=True, text=True)
    assert done.stdout == f'mmconvmixer {__version__}\n' and not done.stderr


@pytest.mark.parametrize(('argv', 'said'), [
    ([], 'required: COMMAND'),
    (['trian'], "'trian' (choose from"),
    (['train'], 'mmconvmixer train: error: the following arguments are required: config'),
    (['train', 'x', '--cfg-options', 'word'], '--cfg-options takes KEY=VALUE'),
    (['train', 'x', '--cfg-options', 'a=[1,(2'], '--cfg-options takes KEY=VALUE'),
    (['train', 'x', '--cfg-options', 'a=[dict(type=1,b=2)]'], 'and no dict(...); give each'),
])
def test_wrong_arguments_are_2_and_say_what_is_expected(argv, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_config_options_are_collected_and_converted(tools):
    options = common.parse(tools('train'), [
        'x', '--cfg-options', 'a.b=1', 'c=[x,2.5]', '--amp', '--cfg-options', 'd=None', 'a.b=2'])
    assert options['overrides'] == {'a.b': 2, 'c': ['x', 2.5], 'd': None}
    assert common.parse(tools('train'), ['x'])['overrides'] is None


def test_the_choices_are_the_librarys(tools):
    from mmconvmixer.checkpoints import convert as library
    from mmconvmixer.checkpoints import meta
    from mmconvmixer.deploy.quantization import INT8_FORMATS
    assert tuple(library.FORMATS) == convert.FORMATS
    assert tuple(library.DTYPES) == common.DTYPES
    assert meta.ACTS == convert.ACTS
    assert ' or '.join(INT8_FORMATS) in tools('quantize').format_help()


def test_a_command_runs_what_the_tool_runs(tmp_path, capsys):
    assert main(['download', 'convmixer-64-4_digits', '--to', str(tmp_path)]) == 0
    path, = tmp_path.iterdir()
    assert capsys.readouterr().out.startswith(f'{path.name}  {path.stat().st_size} bytes')


def test_an_error_is_one_line_and_2(tmp_path, capsys):
    assert main(['test', 'missing.py', '--work-dir', str(tmp_path / 'work')]) == 2
    error, = capsys.readouterr().err.splitlines()
    assert error.startswith('error: ') and 'missing.py' in error


def test_without_a_checkout_benchmark_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkout, 'CHECKOUT', tmp_path)
    monkeypatch.setattr(checkout, 'find_spec', lambda name: None)
    assert main(['benchmark', 'convmixer-64-4_digits']) == 2
    error, = capsys.readouterr().err.splitlines()
    assert 'folder benchmarks/' in error and 'clone the repository' in error

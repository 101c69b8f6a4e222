"""A wheel and an sdist contain `.mim` and the weights, and work outside the checkout.

Both also record the commit that they were built from.
"""
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
WANTED = {'.mim/model-index.yml', '.mim/tools/test.py', '.mim/tools/dist_train.sh',
          '.mim/configs/convmixer/convmixer-64-4_digits.py', '.mim/configs/_base_/plugin.py',
          '.mim/configs/convmixer/metafile.yml'}

pytestmark = pytest.mark.skipif(not (REPO / 'setup.py').is_file(),
                                reason='builds from a checkout; these tests run outside one')


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """A wheel built from an sdist built from a commit of the checkout's files."""
    out = tmp_path_factory.mktemp('dist')
    source = tmp_path_factory.mktemp('source') / 'checkout'
    # Only what git tracks or would track: nothing generated beside it may help.
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=REPO,
                            check=True, capture_output=True, text=True).stdout.split()
    for name in listed:
        if (REPO / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, source / name)
    for arguments in (['init'], ['add', '.'], ['commit', '-m', 'all']):
        subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments],
                       cwd=source, check=True, capture_output=True)
    subprocess.run([sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(out),
                    str(source)], check=True, capture_output=True)
    shutil.move(source / '.git', out)
    return out


def test_the_wheel_holds_mim_and_the_weights(built):
    names = set(zipfile.ZipFile(next(built.glob('*.whl'))).namelist())
    assert {f'mmconvmixer/{name}' for name in WANTED} <= names
    assert any(name.startswith('mmconvmixer/zoo/weights/convmixer-64-4_digits-')
               for name in names)
    assert {f'mmconvmixer/deploy/web/page/{name}' for name in ('index.html', 'worker.js')} <= names
    assert not any(name.startswith(('tests/', 'tools/', 'configs/')) for name in names)


def test_the_wheel_knows_the_commit(built):
    head = subprocess.run(['git', 'rev-parse', 'HEAD'], cwd=built, check=True,
                          capture_output=True, text=True).stdout.strip()
    wheel = zipfile.ZipFile(next(built.glob('*.whl')))
    assert wheel.read('mmconvmixer/GIT_REVISION').decode() == head


def test_the_sdist_holds_mim_too(built):
    with tarfile.open(next(built.glob('*.tar.gz'))) as archive:
        names = {name.split('/', 1)[-1] for name in archive.getnames()}
    assert {f'mmconvmixer/{name}' for name in WANTED} <= names


@pytest.fixture(scope='module')
def site(built, tmp_path_factory):
    """A folder that the wheel is installed in."""
    site = tmp_path_factory.mktemp('site')
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--target',
                    str(site), str(next(built.glob('*.whl')))], check=True)
    return site


def test_the_wheel_works_outside_the_checkout(site, tmp_path):
    code = ('import mmconvmixer, mmengine; print(mmconvmixer.__file__);'
            'model = mmconvmixer.get_model("convmixer-64-4_digits", pretrained=True);'
            'from mmengine.config import Config;'
            'print(Config.fromfile(model._config.filename).train_cfg.max_epochs)')
    # Without the finder of an editable install, which would find the checkout.
    run = subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path.insert(0, {str(site)!r}); '
         'sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f)]; ' + code],
        cwd=tmp_path, check=True, capture_output=True, text=True)
    file, epochs = run.stdout.split()[-2:]
    assert file.startswith(str(site)) and epochs == '40'


def run_in(site, folder, *command):
    return subprocess.run([sys.executable, '-W', 'ignore', *map(str, command)], cwd=folder,
                          env={**os.environ, 'PYTHONPATH': str(site), 'COLUMNS': '80'},
                          capture_output=True, text=True)


@pytest.mark.parametrize('tool', sorted(
    path.name for path in REPO.glob('tools/*.py') if 'mmconvmixer.cli' in path.read_text()
    and 'import main' in path.read_text()))
def test_the_tools_in_mim_run_the_wheels_commands(site, tmp_path, tool):
    run = run_in(site, tmp_path, site / 'mmconvmixer/.mim/tools' / tool, '--help')
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f'usage: python tools/{tool} ')


def test_the_wheel_has_a_command_mmconvmixer(site, tmp_path):
    entry, = site.glob('mmconvmixer-*.dist-info/entry_points.txt')
    assert 'mmconvmixer = mmconvmixer.cli.main:start' in entry.read_text()
    run = run_in(site, tmp_path, site / 'bin/mmconvmixer', 'download', 'convmixer-64-4_digits',
                 '--to', 'weights')
    assert run.returncode == 0, run.stderr
    path, = (tmp_path / 'weights').iterdir()
    assert run.stdout.startswith(path.name)


def test_the_wheels_benchmark_asks_for_the_repository(site, tmp_path):
    run = run_in(site, tmp_path, '-m', 'mmconvmixer', 'benchmark', 'convmixer-64-4_digits')
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith('error: mmconvmixer benchmark needs the folder')


def test_importing_alone_loads_the_registration_and_nothing_else():
    code = ('import sys; before = set(sys.modules); import mmconvmixer; print(*sorted('
            'name for name in set(sys.modules) - before '
            'if name.split(".")[0] not in sys.stdlib_module_names))')
    run = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == [
        'mmconvmixer', 'mmconvmixer._support', 'mmconvmixer._support.after_import',
        'mmconvmixer.registry', 'mmconvmixer.version']


def test_importing_loads_no_models_datasets_or_other_heavy_modules(torch_python):
    # docs/performance.md has the time it takes; a test that times is not reliable.
    code = ('import mmpretrain, sys; before = set(sys.modules); import mmconvmixer; '
            'print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))')
    run = subprocess.run([torch_python, '-c', code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ['mmconvmixer']


@pytest.mark.parametrize('code', [
    'import mmconvmixer', 'from mmconvmixer import Predictor, get_model, inference_model, zoo'])
def test_importing_alone_prints_nothing(code):
    run = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert run.stdout == run.stderr == ''

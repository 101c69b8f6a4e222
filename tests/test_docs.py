"""What README.md and docs/ show works: every snippet is run, every command at least parsed.

A command that cannot be run here is listed in `NOT_RUN` with the reason.
"""
import argparse
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
pytestmark = pytest.mark.skipif(not (ROOT / 'docs').is_dir(),
                                reason='README.md and docs/ are part of the checkout only')

# Weights that need a download are replaced by weights in the package.
PACKAGED = {'convmixer-768-32_3rdparty_in1k': 'convmixer-128-4_cifar10'}

# Pattern of a command -> why this test does not run it. The options are still parsed.
NOT_RUN = {
    r'^pip |^cd |^zensical ': 'it installs or builds; .ci/run does so',
    r'^pytest': 'it runs the tests',
    r'768[-_]32|_flax|Mixer-B|\$name|hf-hub|download.py': 'it downloads weights',
    r'data/|configs/\S*(cifar|flowers)': 'it needs images that do not come with a package',
    r'\b[A-Z]{3,}\b': 'a placeholder stands for a file of yours',
    r'dist_|slurm_|MASTER_ADDR': 'it starts several processes; tests/engine/test_distributed.py',
    r'^tools/': 'it starts several processes; tests/engine/test_distributed.py',
    r'gpu_report': 'it needs a GPU; tests/benchmarks/test_gpu_report.py rehearses it',
    r'verify.py': 'it needs a checkpoint that publish.py wrote; tests/tools/test_verify.py',
}
# What is appended so that a run takes seconds.
SHORTER = {'train.py': ' --cfg-options train_cfg.max_epochs=1 train_dataloader.batch_size=256'}
COMMAND = re.compile(r'^(python tools/|tools/|mmconvmixer |pip |pytest|zensical |cd |'
                     r'[A-Z_]+=\S+ (?:python |tools/|[A-Z_]+=))')


def blocks(page):
    """Yield language and text of every fenced block, and of indented lines as 'sh'."""
    fenced = re.compile(r'^```(\w*)\n(.*?)^```', re.MULTILINE | re.DOTALL)
    text = page.read_text()
    for match in fenced.finditer(text):
        yield match[1], match[2]
    indented = re.findall(r'^(?: {4}.*\n)+', fenced.sub('', text), re.MULTILINE)
    for block in indented:
        yield 'sh', re.sub(r'^ {4}', '', block, flags=re.MULTILINE)


def commands():
    """Yield page and command of every command line, without its comment."""
    for page in PAGES:
        for language, text in blocks(page):
            if language != 'sh':
                continue
            for line in text.replace('\\\n', ' ').splitlines():
                line = re.sub(r'\s+#.*', '', line).strip()
                if COMMAND.match(line) and '[' not in line:
                    yield page.relative_to(ROOT).as_posix(), ' '.join(line.split())


def snippets():
    for page in PAGES:
        for number, (language, text) in enumerate(blocks(page)):
            if language == 'python':
                yield pytest.param(text, id=f'{page.relative_to(ROOT)}-{number}')


COMMANDS = sorted(set(commands()))


def reason_not_to_run(command):
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, command)), None)


def parser_of(words):
    """Return the parser of `python tools/X.py` or `mmconvmixer X`, and its arguments."""
    if words[0] == 'mmconvmixer':
        name, arguments = words[1].replace('-', '_'), words[2:]
    else:
        name, arguments = Path(words[1]).stem, words[2:]
    try:
        module = import_module('mmconvmixer.cli.' + name.removesuffix('_checkpoint'))
    except ModuleNotFoundError:
        return runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))['parse_args'], arguments
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args, arguments


@pytest.mark.parametrize(('page', 'command'), COMMANDS)
def test_every_option_that_a_page_shows_exists(page, command):
    for part in command.split(' && '):
        words = shlex.split(part)
        while re.match(r'[A-Z_]+=', words[0]):
            words = words[1:]
        if words[0] == 'mmconvmixer' or words[:1] == ['python']:
            parse, arguments = parser_of(words)
            numbers = dict(N='1', P='1')
            parse([numbers.get(word, word) for word in arguments])
        elif words[0].startswith('tools/'):
            assert (ROOT / words[0]).is_file(), f'{page} shows {words[0]}, which is not there'


@pytest.fixture(scope='module')
def workshop(tmp_path_factory):
    """A folder with what the pages assume: tools, configs and a few files of your own."""
    folder = tmp_path_factory.mktemp('workshop')
    for name in ('configs', 'tools', 'benchmarks'):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / 'docs/results', folder / 'docs/results')
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    (folder / 'folder/of/images').mkdir(parents=True)
    for name in ('photo.jpg', 'cat.jpg', 'dog.png', 'folder/of/images/1.jpg',
                 'folder/of/images/2.jpg'):
        photographs[0].resize((96, 64)).save(folder / name)
    return folder


RUNNABLE = sorted({command for _, command in COMMANDS if not reason_not_to_run(command)},
                  key=lambda command: ('train' not in command, command))


def test_some_commands_are_run():
    assert any('train.py' in command for command in RUNNABLE)
    assert any(command.startswith('mmconvmixer ') for command in RUNNABLE)


@pytest.mark.parametrize('command', RUNNABLE)
def test_commands_that_need_nothing_run_as_pasted(workshop, command):
    command += next((more for tool, more in SHORTER.items() if tool in command), '')
    words = shlex.split(command)
    if words[0] == 'mmconvmixer':
        words = [sys.executable, '-m', 'mmconvmixer', *words[1:]]
    elif words[0] == 'python':
        words[0] = sys.executable
    done = subprocess.run(words, cwd=workshop, capture_output=True, text=True, timeout=600,
                          env={**os.environ, 'MPLBACKEND': 'Agg'})
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def saved_models(workshop):
    """The SavedModels that docs/export_tensorflow.md loads, made of a small network."""
    from mmconvmixer.deploy import export
    for name, features in (('convmixer', False), ('convmixer_features', True)):
        export('convmixer-128-4_cifar10', 'savedmodel', str(workshop / name), features=features)


@pytest.mark.parametrize('code', snippets())
def test_snippets_run_as_pasted(workshop, monkeypatch, request, code):
    for module in set(re.findall(r'^import (\w+)', code, re.MULTILINE)):
        pytest.importorskip(module)
    for published, packaged in PACKAGED.items():
        code = code.replace(published, packaged)
    monkeypatch.chdir(workshop)
    names = dict(batch=torch.rand(1, 3, 32, 32), name='convmixer-128-4_cifar10',
                 images=['photo.jpg', 'cat.jpg'], paths=['photo.jpg'])
    if 'net.onnx' in code:
        from mmconvmixer.deploy import export
        export(names['name'], 'onnx', 'net.onnx', self_contained=True)
    if 'backend=' in code:
        pytest.importorskip('openvino')
        pytest.importorskip('nncf')
    if 'work_dirs/' in code:
        pytest.skip('the run of your own is that of tests/tools/test_own_images.py')
    if 'tensorflow' in code or 'keras' in code:
        import numpy as np
        request.getfixturevalue('saved_models')
        names['images'] = np.random.rand(2, 32, 32, 3).astype('float32')
        names['labels'] = np.array([1, 3])
        names['batches'] = [(names['images'], names['labels'])]
        code = code.replace('224, 224, 3', '32, 32, 3')
    exec(compile(code, 'snippet', 'exec'), names)

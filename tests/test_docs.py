"""What README.md, CONTRIBUTING.md and docs/ show works.

Every snippet is run, every command is parsed and, where it needs neither a network nor a GPU, run;
`NOT_RUN` gives the reason for each other one. Every path, name and link leads somewhere.
"""
import argparse
import os
import re
import runpy
import shlex
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md'))]
pytestmark = pytest.mark.skipif(not (ROOT / 'docs').is_dir(),
                                reason='README.md and docs/ are part of the checkout only')

PAGE = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())

# Weights that need a download are replaced by weights in the package.
PACKAGED = {'convmixer-768-32_3rdparty_in1k': 'convmixer-128-4_cifar10'}
# The run of a page on fine-tuning, replaced by one on the digits.
OWN_RUN = {'work_dirs/mlp-mixer-base-p16_flowers': 'work_dirs/digits',
           'mlp-mixer-base-p16_flowers': 'convmixer-64-4_digits', 'epoch_8': 'epoch_1'}

# Placeholders of commands that are run.
STAND_FOR = {
    r'\bCONFIG\b': 'configs/convmixer/convmixer-64-4_digits.py',
    r'\b(CHECKPOINT|CKPT)\b': 'convmixer-64-4_digits',
    r'\bwork_dirs/RUN\b': 'work_dirs/digits',
    r'\bepoch_25\b': 'epoch_1',
    r'--calib DIR\b': '--calib folder/of/images',
}

# Pattern of a command -> why this test does not run it. The options are still parsed.
NOT_RUN = {
    r'^pip |^cd |^zensical ': 'it installs or builds; .ci/run does so',
    r'^pytest|-m pytest': 'it runs the tests',
    r'benchmark': 'it times for minutes; tests/tools runs it on small networks',
    r'--format web': 'it downloads onnxruntime-web; tests/deploy/web does so',
    r'768[-_]32|_flax|Mixer-B|\$name|hf-hub|download.py': 'it downloads weights',
    r'data/|cifar\S*\.py|flowers': 'it downloads images or weights',
    r'dist_|slurm_|^tools/': 'it starts several processes; tests/engine/test_distributed.py',
    r'gpu_report': 'it needs a GPU; tests/benchmarks/test_gpu_report.py rehearses it',
    r'verify.py NAME': 'a name of the table; all of them need images of CIFAR',
    r'seed=': 'the same command with seed 0 is run',
}
# What a command needs of the extras.
NEEDS = {'openvino': ['openvino', 'nncf'], 'onnx': ['onnx', 'onnxruntime', 'onnxscript'],
         'executorch': ['executorch', 'torchao'], 'coreml': ['coremltools'],
         'format ncnn': ['ncnn', 'pnnx', 'onnx', 'onnxscript'],
         'format mnn': ['MNN', 'onnx', 'onnxscript'], 'gradcam': ['pytorch_grad_cam']}
# What is appended so that a run takes seconds.
SHORTER = {'train.py': ' --cfg-options train_cfg.max_epochs=1 train_dataloader.batch_size=256',
           '--resume': ' train_cfg.max_epochs=2'}
COMMAND = re.compile(r'^(python tools/|tools/|mmconvmixer |pip |pytest|zensical |cd |python -m mm|'
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
        for span in spans(page):
            if span.startswith(('python tools/', 'python -m mm', 'mmconvmixer ')):
                yield page.relative_to(ROOT).as_posix(), span


def spans(page):
    """Yield every text in backticks that is not in a block."""
    text = re.sub(r'^```.*?^```|^ {4}[^\n]*', '', page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r'(?<!`)`([^`]+)`(?!`)', text)


SNIPPETS = [pytest.param(text, id=f'{page.relative_to(ROOT).as_posix()}-{number}')
            for page in PAGES for number, (language, text) in enumerate(blocks(page))
            if language == 'python']


COMMANDS = sorted(set(commands()))


def filled_in(command):
    """Return a command with what its placeholders stand for, and with packaged weights."""
    for placeholder, value in STAND_FOR.items():
        command = re.sub(placeholder, value, command)
    if 'predict' in command or 'export.py' in command:
        for published, packaged in PACKAGED.items():
            command = command.replace(published, packaged)
    return command


def reason_not_to_run(command):
    command = filled_in(command)
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
        if words[0] == 'mmconvmixer' or (words[0] == 'python' and words[1] != '-m'):
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


RUNNABLE = sorted({filled_in(command) for _, command in COMMANDS if not reason_not_to_run(command)},
                  key=lambda command: ('train' not in command, 'test.py' not in command, command))


def test_some_commands_are_run():
    assert any('train.py' in command for command in RUNNABLE)
    assert any(command.startswith('mmconvmixer ') for command in RUNNABLE)


def extras(command):
    return [name for runtime, names in NEEDS.items() if runtime in command for name in names]


@pytest.mark.parametrize('command', [each for each in RUNNABLE if not extras(each)])
def test_commands_that_need_nothing_run_as_pasted(workshop, run, command):
    check_run(command, run)


@pytest.mark.parametrize('command', [each for each in RUNNABLE if extras(each)])
def test_commands_that_need_extras_run_as_pasted(workshop, run, command):
    for package in extras(command):
        pytest.importorskip(package)
    check_run(command, run)


def check_run(command, run):
    command += ''.join(more for part, more in SHORTER.items() if part in command)
    done = run(command)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def run(workshop, warm_python):
    """Run a command in the workshop; `.ci/run` starts one as users do."""
    def start(command):
        words = shlex.split(command)
        words[:1] = [warm_python, *(['-m', 'mmconvmixer'] if words[0] == 'mmconvmixer' else [])]
        return subprocess.run(words, cwd=workshop, capture_output=True, text=True, timeout=600,
                              env={**os.environ, 'MPLBACKEND': 'Agg'})
    return start


@pytest.mark.parametrize('text', [text for page in PAGES for language, text in blocks(page)
                                  if language == 'console'])
def test_an_error_reads_as_shown(run, text):
    command, shown = text.removeprefix('$ ').splitlines()
    done = run(command)
    assert done.returncode == 2
    assert shown.removesuffix('...') in done.stderr


@PAGE
def test_extras_that_pip_is_asked_for_exist(page):
    known = (ROOT / 'pyproject.toml').read_text()
    for names in re.findall(r'(?:\.|mmconvmixer)\[([a-z,]+)\]', page.read_text()):
        for extra in names.split(','):
            assert re.search(rf'^{extra} = \[', known, re.MULTILINE), f'there is no extra {extra}'


@pytest.fixture(scope='module')
def saved_models(workshop):
    """The SavedModels that docs/export_tensorflow.md loads, made of a small network."""
    from mmconvmixer.deploy import export
    for name, features in (('convmixer', False), ('convmixer_features', True)):
        export('convmixer-128-4_cifar10', 'savedmodel', str(workshop / name), features=features)


@pytest.mark.parametrize('code', SNIPPETS)
def test_snippets_run_as_pasted(workshop, run, monkeypatch, request, code):
    for module in set(re.findall(r'^import (\w+)', code, re.MULTILINE)):
        pytest.importorskip(module)
    for shown, here in {**PACKAGED, **OWN_RUN}.items():
        code = code.replace(shown, here)
    monkeypatch.chdir(workshop)
    names = dict(batch=torch.rand(1, 3, 32, 32), name='convmixer-128-4_cifar10',
                 images=['photo.jpg', 'cat.jpg'], paths=['photo.jpg'])
    if 'net.onnx' in code:
        from mmconvmixer.deploy import export
        export(names['name'], 'onnx', 'net.onnx', self_contained=True)
    for format, out in (('ncnn', 'net.param'), ('mnn', 'net.mnn')):
        if f"'{out}'" in code:
            from mmconvmixer.deploy import export
            export(names['name'], format, out, fold_normalization=True)
    if 'backend=' in code:
        pytest.importorskip('openvino')
        pytest.importorskip('nncf')
    if 'work_dirs/digits' in code and not Path('work_dirs/digits/epoch_1.pth').is_file():
        check_run('python tools/train.py configs/convmixer/convmixer-64-4_digits.py '
                  '--work-dir work_dirs/digits', run)
    if 'tensorflow' in code or 'keras' in code:
        import numpy as np
        request.getfixturevalue('saved_models')
        names['images'] = np.random.rand(2, 32, 32, 3).astype('float32')
        names['labels'] = np.array([1, 3])
        names['batches'] = [(names['images'], names['labels'])]
        code = code.replace('224, 224, 3', '32, 32, 3')
    exec(compile(code, 'snippet', 'exec'), names)


OTHER_COMMANDS = ('pip ', 'pytest', 'tensorboard ', 'zensical ')
# Words with these parts are not paths of this repository.
ELSEWHERE = re.compile(r'^(data|work_dirs|weights|out|folder|dist|venv)/|NAME|RUN|FOLDER|[^\w./*-]')
FOLDERS = ('mmconvmixer/', 'tests/', 'configs/', 'benchmarks/', 'findings/', 'tools/', 'docs/',
           '.ci/', '.github/')


@PAGE
def test_paths_in_backticks_exist(page):
    for word in ' '.join(spans(page)).split():
        if ELSEWHERE.search(word) or not (
                word.startswith(FOLDERS) or re.search(r'/.*\.(py|yml|md|toml|sh)$', word)):
            continue
        roots = (ROOT, ROOT / 'mmconvmixer', ROOT / 'configs')
        assert any(list(root.glob(word)) for root in roots), f'{word} is not there'


@PAGE
def test_names_in_backticks_and_in_the_api_reference_exist(page):
    rendered = re.findall(r'^::: (.*)', page.read_text(), re.MULTILINE)
    text = ' '.join([*spans(page), *rendered])
    for name in re.findall(r'\bmmconvmixer(?:\.[A-Za-z_]\w*)+', text):
        resolve_name(name)


# CONTRIBUTING.md shows options of pip, pytest and git.
@pytest.mark.parametrize('page', [page for page in PAGES if page.name != 'CONTRIBUTING.md'],
                         ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_in_backticks_exist(page):
    files = [*ROOT.glob('mmconvmixer/cli/*.py'), *ROOT.glob('tools/*.py')]
    known = set(re.findall(r"'(--[a-z][\w-]*)'", ' '.join(file.read_text() for file in files)))
    shown = set(re.findall(r'(?<![\w-])--[a-z][\w-]*', ' '.join(
        span for span in spans(page) if not span.startswith(OTHER_COMMANDS))))
    assert shown <= known


@PAGE
def test_links_lead_somewhere(page):
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if re.match(r'\w+:', target):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f'{target} is not there'
        if page.parent != ROOT:
            assert (ROOT / 'docs') in file.parents, f'{target} is not a page of the site'
        if anchor:
            assert anchor in anchors(file), f'{file.name} has no heading for #{anchor}'


def anchors(file):
    headings = re.findall(r'^#+ (.*)', file.read_text(), re.MULTILINE)
    return {re.sub(r'[\s-]+', '-', re.sub(r'[^\w\s-]', '', heading).strip().lower())
            for heading in headings}


def test_every_page_is_in_the_navigation():
    navigation = set(re.findall(r'"([\w/]+\.md)"', (ROOT / 'zensical.toml').read_text()))
    assert navigation == {path.relative_to(ROOT / 'docs').as_posix()
                          for path in (ROOT / 'docs').rglob('*.md')}

"""Toy runs: a network of 8 channels on scikit-learn's digits; an epoch takes seconds."""
import argparse
import gc
import http.server
import importlib.util
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
import torch

# Without a GPU, Triton's kernels are interpreted. Triton asks for this when it
# is imported, which the next lines do.
if not torch.cuda.is_available():
    os.environ['TRITON_INTERPRET'] = '1'

# ruff: noqa: E402
from mmengine import Config, MessageHub, MMLogger
from mmengine.config import utils as config_utils
from mmengine.registry import DefaultScope
from mmengine.runner import runner
from mmengine.utils import manager
from mmengine.visualization import Visualizer

import mmconvmixer.apis.training
from mmconvmixer.engine.launch import end_process, leave_process_group
from mmconvmixer.ops import kernels

DEVICE = torch.device('cuda' if torch.cuda.is_available() else 'cpu')

# Rounding depends on the number of threads, and runs in this process are compared
# with runs in others.
os.environ['OMP_NUM_THREADS'] = '1'
torch.set_num_threads(1)

# A process whose first gradient follows an export or a compilation cannot be forked any more, and
# some tests fork this one: torch then starts threads for the devices that it pretended to have.
# See findings/torch_fork_after_fake_tensor.sh.
torch.ones(1, requires_grad=True).backward()

REPO = Path(__file__).resolve().parents[1]
FORK_SERVER = REPO / 'tests/fork_server.py'

TOY = f"""
_base_ = ['{REPO}/configs/convmixer/convmixer-64-4_digits.py']
model = dict(
    backbone=dict(arch='8/2-p1-k3'),
    head=dict(in_channels=8),
    train_cfg=dict(augments=dict(type='Mixup', alpha=0.5)))
train_dataloader = dict(batch_size=16)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = dict(epochs=[0, 1, 2, 3], factors=[0, 1, 0.5, 0.1])
train_cfg = dict(max_epochs=1, val_interval=1)
"""


def pytest_collection_finish():
    """Let the garbage collector pass over what was imported: datasets run it when they are built.

    Each time it would take a third of a second.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    if item.get_closest_marker('triton'):
        lacking = kernels.missing_triton(DEVICE)
        if lacking:
            pytest.skip(f'the kernels need {lacking.rstrip(",")}')


@pytest.fixture(params=['triton'] if torch.cuda.is_available() else ['cpp', 'triton'])
def written_in(request, monkeypatch):
    """Run a test through the kernels in C++, then through those in Triton."""
    monkeypatch.setattr(kernels, 'triton_on_cpu', request.param == 'triton')
    lacking = kernels.missing(DEVICE)
    if lacking:
        pytest.skip(f'the kernels need {lacking.rstrip(",")}')


@pytest.fixture(autouse=True)
def environment_kept():
    """Restore the environment: the tools set LOCAL_RANK, and launchers set more."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope='session', autouse=True)
def machine_and_packages_stay():
    """Ask once what runs ask the machine and mmpretrain's 84 metafiles for at every start.

    The files are kept, and not what is found in them: an error, which our configs get for their
    bases, is not kept by `cache`.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((runner, 'collect_env'), (config_utils, 'load')):
            patch.setattr(module, name, cache(getattr(module, name)))
        yield


@pytest.fixture(autouse=True)
def no_default_scope():
    """Start each test without a default scope: a Runner sets it for the whole process."""
    DefaultScope._instance_dict.clear()


@pytest.fixture(autouse=True)
def free_lock(monkeypatch):
    """Give each test a new lock of mmengine's loggers, which keep it after an error.

    A thread of a later test would wait for it forever.
    """
    monkeypatch.setattr(manager, '_lock', threading.RLock())


@pytest.fixture(autouse=True)
def own_hub(tmp_path_factory, monkeypatch):
    """Give each test its own download folder."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path_factory.mktemp('torch_home')))


@pytest.fixture(scope='session')
def repo() -> Path:
    return REPO


@pytest.fixture(scope='session')
def real_data():
    """Return a folder of the real images that developers keep beside the checkout."""
    root = Path(os.environ.get('MMCONVMIXER_DATA', REPO.parent / 'shared/data'))

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f'no images in {root / name}; set MMCONVMIXER_DATA')
        return root / name
    return folder


@pytest.fixture(scope='session')
def unpacked(real_data, tmp_path_factory):
    """Unpack a split of CIFAR-10 or CIFAR-100 into folders, once; return the root."""
    root = tmp_path_factory.mktemp('unpacked')

    def unpack(name: str, split: str) -> Path:
        source = real_data(name)
        if not (root / name / split).is_dir():
            subprocess.run([sys.executable, source.parent / 'unpack.py', name, root / name,
                            '--split', split], check=True, capture_output=True)
        return root / name
    return unpack


@pytest.fixture(scope='session')
def toy_config(tmp_path_factory) -> Path:
    """A config whose random augmentation, mixup and schedule all draw numbers."""
    path = tmp_path_factory.mktemp('configs') / 'toy.py'
    path.write_text(TOY)
    return path


def own_name(overrides: dict | None = None) -> dict:
    # mmengine names a run's singletons by the clock's second: two runs of one process
    # within a second would share their histories.
    return {'experiment_name': uuid4().hex, **(overrides or {})}


@pytest.fixture(scope='session')
def train(toy_config):
    """`mmconvmixer.apis.training.train` of the toy config, each call a separate run."""
    def run(work_dir, overrides=None, config=toy_config, **options):
        return mmconvmixer.apis.training.train(
            config, work_dir=str(work_dir), overrides=own_name(overrides), **options)
    return run


@pytest.fixture(scope='session')
def evaluate(toy_config):
    """`mmconvmixer.apis.evaluation.evaluate` of the toy config, each call a separate run."""
    from mmconvmixer.apis.evaluation import evaluate

    def run(checkpoint, work_dir, overrides=None, config=toy_config, **options):
        return evaluate(config, checkpoint, work_dir=str(work_dir),
                        overrides=own_name(overrides), **options)
    return run


@pytest.fixture
def in_two_processes(free_port):
    """Call a function with the same arguments in two processes, as torchrun starts them.

    They are forked, so they need not import torch and mmpretrain again. The scripts that users
    start processes with are run in tests/engine/test_distributed.py.
    """
    def call(function, *args, **options):
        torch.multiprocessing.start_processes(
            _as_rank, (free_port, partial(function, *args, **options)), nprocs=2,
            start_method='fork')
    return call


def _as_rank(rank, port, function):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2',
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    function()
    leave_process_group()
    end_process(0)


@pytest.fixture(scope='session')
def trained(train, tmp_path_factory) -> Path:
    """The checkpoint of one epoch."""
    folder = tmp_path_factory.mktemp('trained')
    train(folder, validate=False)
    return folder / 'epoch_1.pth'


@pytest.fixture(scope='session')
def weights_of():
    """Read the weights, and nothing else, of a checkpoint file."""
    from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
    return lambda path: state_dict_of(read_checkpoint(path))


@pytest.fixture(scope='session')
def same_weights():
    """Whether two state dicts are equal to the last bit."""
    return lambda a, b: a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def _load_tool(name: str):
    spec = importlib.util.spec_from_file_location(f'tool_{name}', REPO / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tool(capsys):
    """Call a tool in this process; return its exit code and its output."""
    def call(name, *argv, experiment=True):
        if experiment:
            own = [f'{key}={value}' for key, value in own_name().items()]
            argv = [*argv, '--cfg-options', *own] if '--cfg-options' not in argv else [
                *argv, *own]
        capsys.readouterr()
        for singletons in (MMLogger, MessageHub, Visualizer):
            singletons._instance_dict.clear()  # they hold the last test's closed stdout
        code = _load_tool(name).main([str(arg) for arg in argv])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())
    return call


@pytest.fixture(scope='session')
def tools():
    """The argument parser of a tool, by the tool's name."""
    def parser_of(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, 'parse_args', _hand_over)
            with pytest.raises(_Parser) as caught:
                _load_tool(name).main([])
        return caught.value.args[0]
    return parser_of


@pytest.fixture(scope='session')
def warm_python(tmp_path_factory):
    """The path of a `python` that has imported all that most commands need.

    tests/fork_server.py says in what it differs from a Python that was just started.
    """
    with _fork_server(tmp_path_factory.mktemp('warm'), WHAT_COMMANDS_IMPORT) as path:
        yield path


@pytest.fixture(scope='session')
def torch_python(tmp_path_factory):
    """The path of a `python` that has imported torch, torchvision and no package of OpenMMLab."""
    with _fork_server(tmp_path_factory.mktemp('torch'), WHAT_OPENMMLAB_IMPORTS) as path:
        yield path


WHAT_OPENMMLAB_IMPORTS = ['torchvision', 'torch.distributed.optim']
WHAT_COMMANDS_IMPORT = [
    'mmconvmixer.apis.training', 'mmconvmixer.apis.evaluation', 'mmconvmixer.visualization',
    'mmpretrain.datasets', 'mmpretrain.engine', 'mmpretrain.models', 'sklearn.datasets',
    'torch.distributed.run']


@contextmanager
def _fork_server(folder, imported):
    if sys.platform != 'linux':
        yield sys.executable
        return
    path = folder / 'python'
    name = uuid4().hex
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f'\0{name}')  # not a file
        listener.listen(64)
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{FORK_SERVER}" client '
                        f'{name} "$@"\n')
        path.chmod(0o755)
        serve = [sys.executable, FORK_SERVER, 'serve', str(listener.fileno()), *imported]
        with subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              pass_fds=[listener.fileno()]):
            yield str(path)  # the server ends with its standard input


@pytest.fixture(scope='session')
def shell(warm_python):
    """Run a command line; its `python`, and what torchrun starts, is `warm_python`."""
    return partial(subprocess.run, cwd=REPO, capture_output=True, text=True, timeout=240,
                   env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore',
                        'PYTHON_EXEC': warm_python,
                        'PATH': f'{Path(warm_python).parent}:{os.environ["PATH"]}'})


@pytest.fixture(scope='session')
def image_folder():
    """Write `<folder>/<class>/<name>.png`: noise, whose class no network can know."""
    import numpy as np
    from PIL import Image

    def write(folder: Path, count: int, classes: int = 10, size: int = 8) -> list[Path]:
        generator = np.random.default_rng(0)
        paths = []
        for number in range(count):
            path = folder / f'class{number % classes}' / f'{number // classes:03d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (size, size), np.uint8)).save(path)
            paths.append(path)
        return paths
    return write


@pytest.fixture(scope='session')
def folder_config(toy_config, tmp_path_factory):
    """Write a config whose test set (and nothing else) is a folder of images."""
    def write(folder: Path, **keys) -> Path:
        cfg = Config.fromfile(toy_config)
        dataset = cfg.test_dataloader.dataset
        cfg.test_dataloader.dataset = dict(
            type='CustomDataset', data_root=str(folder), pipeline=dataset.pipeline)
        cfg.merge_from_dict(keys)
        path = tmp_path_factory.mktemp('folder_config') / 'toy_folder.py'
        cfg.dump(path)
        return path
    return write


@pytest.fixture
def processor(monkeypatch):
    """Make this process see a processor of another kind, by its instruction sets.

    Only what is decided by the kind changes: libraries still run on the real one,
    which computes int8 and bfloat16 in any case, only more slowly.
    """
    def take_for(kind: str) -> None:
        monkeypatch.setattr('mmconvmixer._support.processor.processor_flags',
                            lambda: PROCESSORS[kind])
    return take_for


PROCESSORS = {
    'with AVX2 alone': frozenset({'avx2', 'fma'}),
    'with VNNI and bfloat16': frozenset({'avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16'})}


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def _tree(folder: Path) -> set[Path]:
    return set(folder.rglob('*'))


@pytest.fixture
def bad_input(tool, tmp_path, monkeypatch):
    """Call a tool that must refuse its input; return the single line that it prints."""
    monkeypatch.chdir(tmp_path)

    def call(name, *argv, **options):
        before = _tree(tmp_path)
        done = tool(name, *argv, **options)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1, done.err
        assert done.err.startswith('error: ')
        assert 'Traceback' not in done.err
        assert len(done.err) < 1000, done.err
        assert _tree(tmp_path) == before
        return done.err
    return call


@pytest.fixture
def server(tmp_path_factory):
    """A loopback web server: its folder, its URL and the paths that were requested."""
    folder = tmp_path_factory.mktemp('served')
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield SimpleNamespace(folder=folder, asked=asked,
                              url=f'http://127.0.0.1:{serving.server_port}')
        serving.shutdown()


@pytest.fixture(scope='session')
def bad_checkpoints(trained, tmp_path_factory):
    """Kind of damage -> a damaged file, and part of the message it must cause."""
    from mmconvmixer.checkpoints import read_checkpoint
    folder = tmp_path_factory.mktemp('bad')
    data = trained.read_bytes()
    weights = read_checkpoint(trained)['state_dict']
    def file_name(name):  # mmengine's --cfg-options drops spaces
        return name.replace(' ', '_') + '.pth'

    contents = {
        'no file': (None, 'no_file.pth'),
        'a folder': (None, 'a_folder.pth'),
        'text': (b'hello', 'text.pth is not a PyTorch checkpoint'),
        'empty': (b'', 'empty.pth is cut short'),
        'first 100 bytes': (data[:100], 'first_100_bytes.pth is cut short'),
        'first half': (data[:len(data) // 2], 'first_half.pth is cut short'),
        'all but 1000 bytes': (data[:-1000], 'all_but_1000_bytes.pth is cut short'),
        'all but 1 byte': (data[:-1], 'all_but_1_byte.pth is cut short'),
        'a list': ([1, 2], 'a_list.pth holds a list'),
        'no weights': (dict(state_dict={}), 'no_weights.pth holds no weights'),
        'a function': (dict(state_dict=weights, hook=print), 'print'),
        'seven classes': (
            {key: value[:7] if key.startswith('head') else value
             for key, value in weights.items()},
            'head.fc.weight (7, 8) where the network has (10, 8)'),
        'one block': (
            {key: value for key, value in weights.items() if '.stages.1.' not in key},
            'missing (backbone.stages.1.'),
        'three blocks': ({**weights, 'backbone.stages.2.1.bias': torch.ones(8)},
                         'not in the network (backbone.stages.2.1.bias)'),
    }
    assert list(contents) == BAD_CHECKPOINTS
    (folder / 'a_folder.pth').mkdir()
    for name, (content, _) in contents.items():
        if isinstance(content, bytes):
            (folder / file_name(name)).write_bytes(content)
        elif content is not None:
            torch.save(content, folder / file_name(name))
    return {name: (folder / file_name(name), said) for name, (_, said) in contents.items()}


BAD_CHECKPOINTS = [
    'no file', 'a folder', 'text', 'empty', 'first 100 bytes', 'first half',
    'all but 1000 bytes', 'all but 1 byte', 'a list', 'no weights', 'a function',
    'seven classes', 'one block', 'three blocks']


@pytest.fixture(params=BAD_CHECKPOINTS)
def bad_checkpoint(request, bad_checkpoints):
    """Each of `bad_checkpoints` in turn."""
    return bad_checkpoints[request.param]


@pytest.fixture(scope='session')
def options_of():
    """The options that a parser knows, hidden ones too."""
    return lambda parser: {option for action in parser._actions
                           for option in action.option_strings or [action.dest]}


class _Parser(Exception):
    """Carries a parser out of the function that builds it."""


def _hand_over(parser, argv):
    raise _Parser(parser)

"""Compile the C++ kernels once for this machine's processor, and load them."""
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer._support.lock import locked
from mmconvmixer.errors import FusedKernelsUnavailable, OutputNotWritable

_FOLDER = Path(__file__).parent
# A product may be rounded together with the sum that it is part of; sums keep their order.
_FLAGS = ['-std=c++17', '-O3', '-march=native', '-fPIC', '-fopenmp', '-fno-math-errno',
          '-fno-trapping-math', '-ffp-contract=fast']


@cache
def library() -> ctypes.CDLL:
    """Return the library of kernels. It is compiled by the first process that asks for it.

    It lies in the user's cache folder ($XDG_CACHE_HOME, or ~/.cache), under a name that changes
    with the sources, the compiler and the processor.

    Raises:
        FusedKernelsUnavailable: there is no C++ compiler that can compile it, or no folder to
            compile it in. The message says what is missing.
    """
    compiler = _compiler()
    if compiler is None:
        raise FusedKernelsUnavailable('a C++ compiler (g++ or clang++, or the one in $CXX)')
    name = f'kernels-{_key(compiler)}.so'
    try:
        path = _cache_folder() / name
        if not path.exists():
            with locked(path.with_suffix('.lock'), 'compiling the kernels for this processor'):
                if not path.exists():
                    _compile(compiler, path)
        return _load(path)
    except OutputNotWritable:
        with tempfile.TemporaryDirectory() as folder:  # a loaded file may be removed
            path = Path(folder) / name
            _compile(compiler, path)
            return _load(path)


def _compiler() -> str | None:
    names = [os.environ.get('CXX'), 'c++', 'g++', 'clang++']
    return next((found for name in names if name and (found := shutil.which(name))), None)


def _cache_folder() -> Path:
    try:
        return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'mmconvmixer'
    except RuntimeError as error:  # a user of a container may have no home folder
        raise OutputNotWritable(f'there is no cache folder: {error}') from error


def _key(compiler: str) -> str:
    """Return a name for everything that the library depends on."""
    version = subprocess.run([compiler, '--version'], capture_output=True, text=True).stdout
    text = '\n'.join([version, *_FLAGS, str(_openmp()), _processor(),
                      *(path.read_text() for path in sorted(_FOLDER.glob('*.[ch]*')))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _processor() -> str:
    """Return what tells processors with other instructions apart, on shared home folders."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return '\n'.join(sorted({line for line in lines
                             if line.startswith(('flags', 'Features', 'model name', 'CPU part'))}))


def _openmp() -> Path | None:
    """Return torch's own OpenMP library.

    Linked with another one, the kernels would have threads of their own, which compete with
    torch's for the cores.
    """
    root = Path(torch.__file__).parent
    return next(iter(sorted([*root.glob('lib/libgomp*.so*'),
                             *root.parent.glob('torch.libs/libgomp*.so*')])), None)


def _compile(compiler: str, path: Path) -> None:
    print('compiling the kernels for this processor, once', file=sys.stderr, flush=True)
    openmp = _openmp()
    with atomic_write(path) as part, tempfile.TemporaryDirectory() as folder:
        objects = {source: f'{folder}/{source.stem}.o' for source in _FOLDER.glob('*.cpp')}
        _run([[compiler, *_FLAGS, '-c', str(source), '-o', output]
              for source, output in objects.items()])
        _run([[compiler, '-shared', *objects.values(), str(openmp) if openmp else '-fopenmp',
               '-o', str(part)]])


def _run(commands: list[list[str]]) -> None:
    """Run a compiler's commands side by side."""
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True) for command in commands]
    said = [process.communicate()[1] for process in running]
    for process, text in zip(running, said, strict=True):
        if process.returncode:
            error = next((line for line in text.splitlines() if 'error' in line), text.strip())
            raise FusedKernelsUnavailable('a C++17 compiler with OpenMP (what '
                                          f'{process.args[0]} said: {error[:200]})')


def _load(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise FusedKernelsUnavailable(f'a folder that programs may be loaded from ({error})') \
            from error

"""Where a result comes from: machine, versions, revision of the code."""
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mmconvmixer.version import __version__
from mmconvmixer.zoo import PACKAGE

_PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmpretrain', 'mmcv', 'mmcv-lite', 'numpy')


def environment() -> dict[str, str | int]:
    """Return processor, GPU, threads, and versions of what computes the numbers."""
    found = dict(
        platform=f'{platform.system()} {platform.machine()}', processor=_processor(),
        threads=torch.get_num_threads(), python=platform.python_version(),
        mmconvmixer=__version__)
    if torch.cuda.is_available():
        found.update(gpu=torch.cuda.get_device_name(), gpus=torch.cuda.device_count(),
                     cuda=torch.version.cuda)
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # e.g. mmcv where there is mmcv-lite
            continue
    return found


def git_revision() -> str | None:
    """Return the commit of the checkout that this package runs from.

    `-dirty` follows where files differ from it. None for an installed package
    or where there is no git.
    """
    root = PACKAGE.parent
    top = _git(root, 'rev-parse', '--show-toplevel')
    if top is None or Path(top).resolve() != root:
        return None  # installed into a folder that happens to be in somebody's checkout
    head = _git(root, 'rev-parse', 'HEAD')
    changed = _git(root, 'status', '--porcelain', '--untracked-files=no')
    return head and head + ('-dirty' if changed != '' else '')


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(['git', '-C', str(folder), *arguments], capture_output=True,
                              text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    names = [line.split(':', 1)[1].strip() for line in
             (info.read_text().splitlines() if info.is_file() else ())
             if line.startswith('model name')]
    return f'{os.cpu_count()} x {names[0] if names else platform.processor()}'

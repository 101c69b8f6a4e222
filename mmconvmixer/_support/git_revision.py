"""The git commit of this package's code.

It is not part of `environment.py` because it uses the standard library only: setup.py
runs this file before anything is installed.
"""
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# The file with the commit that setup.py writes into a wheel or an sdist.
BUILT_FROM = 'GIT_REVISION'


def git_revision() -> str | None:
    """Return the commit that this package runs from or was built from, None if unknown.

    It ends in `-dirty` if tracked files differ from that commit.
    """
    built_from = PACKAGE / BUILT_FROM
    return checkout_revision(PACKAGE.parent) or (
        built_from.read_text() if built_from.is_file() else None)


def checkout_revision(root: Path) -> str | None:
    """Return the commit of the checkout at `root`, None if `root` is not the top of one."""
    top = _git(root, 'rev-parse', '--show-toplevel')
    if top is None or Path(top).resolve() != root:
        return None  # such as a virtual environment inside another project's checkout
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

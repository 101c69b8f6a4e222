"""The git commit that this package's code is of.

Only the standard library is used: setup.py runs this file before anything is installed.
"""
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# What setup.py writes into a wheel or sdist.
BUILT_FROM = 'GIT_REVISION'


def git_revision() -> str | None:
    """Return the commit of the checkout that this package runs from, or was built from.

    `-dirty` follows where files differ from it. None where neither is known.
    """
    built_from = PACKAGE / BUILT_FROM
    return checkout_revision(PACKAGE.parent) or (
        built_from.read_text() if built_from.is_file() else None)


def checkout_revision(root: Path) -> str | None:
    """Return the commit of the checkout whose top folder `root` is, None if it is none."""
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

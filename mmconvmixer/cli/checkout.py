"""What a tool uses of its checkout beyond the installed package."""
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from mmconvmixer.errors import MissingPackage


def load_benchmark(tool: str, name: str) -> ModuleType:
    """Return the module `benchmarks.<name>` of the checkout that a tool is part of.

    Args:
        tool: the tool's `__file__`.
        name: of the module.

    Raises:
        MissingPackage: the tool is a copy in an installed package, which has no benchmarks.
    """
    tool = Path(tool).resolve()
    root = tool.parents[1]
    if not (root / 'benchmarks').is_dir():
        raise MissingPackage(
            f'{tool.name} needs the folder benchmarks/, which is part of the checkout and not of '
            'the installed package; run the tool from a clone of the repository')
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return import_module(f'benchmarks.{name}')

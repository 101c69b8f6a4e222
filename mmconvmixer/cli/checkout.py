"""What a command uses of the project's repository beyond the installed package."""
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from mmconvmixer.errors import MissingPackage

# The repository, where the package is used from one.
CHECKOUT = Path(__file__).resolve().parents[2]


def load_benchmark(name: str, tool: str | None = None) -> ModuleType:
    """Return the module `benchmarks.<name>`.

    Args:
        name: name of the module.
        tool: the `__file__` of a tool, which may be in another checkout than the
            package. None for a command of the package.

    Raises:
        MissingPackage: the tool or package is not part of a checkout. (The wheel has no
            benchmarks.)
    """
    root = CHECKOUT if tool is None else Path(tool).resolve().parents[1]
    if (root / 'benchmarks').is_dir():
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
    elif tool is not None or find_spec('benchmarks') is None:
        raise MissingPackage(
            f'{Path(tool).name if tool else "mmconvmixer benchmark"} needs the folder benchmarks/, '
            'which is part of the checkout and not of the installed package; clone the repository '
            'and run it there')
    return import_module(f'benchmarks.{name}')

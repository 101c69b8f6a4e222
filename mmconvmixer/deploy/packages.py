"""Optional packages: asked for by name before work begins."""
from importlib.util import find_spec

from mmconvmixer.errors import MissingPackage


def is_installed(*modules: str) -> bool:
    return all(find_spec(module) for module in modules)


def require_packages(what: str, extra: str, *modules: str) -> None:
    """Raise MissingPackage unless all modules can be imported.

    Args:
        what: needs them, for the message.
        extra: of this package, which installs them.
        modules: names to import.
    """
    missing = [module for module in modules if not is_installed(module)]
    if missing:
        raise MissingPackage(f'{what} needs {", ".join(missing)}: '
                             f"pip install 'mmconvmixer[{extra}]'")

"""Optional packages, checked before work begins."""
from importlib.util import find_spec

from mmconvmixer.errors import MissingPackage


def is_installed(*modules: str) -> bool:
    """Whether all these modules can be found."""
    return all(find_spec(module) for module in modules)


def require_packages(subject: str, extra: str, *modules: str) -> None:
    """Raise MissingPackage unless all modules are installed.

    Args:
        subject: what needs them, for the message.
        extra: this package's extra that installs them.
        modules: names to import.
    """
    missing = [module for module in modules if not is_installed(module)]
    if missing:
        raise MissingPackage(f'{subject} needs {", ".join(missing)}: '
                             f"pip install 'mmconvmixer[{extra}]'")

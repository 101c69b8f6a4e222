"""Which backends there are, and which of them can be used here."""
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from torch import Tensor

from mmconvmixer.deploy.packages import is_installed, require_packages
from mmconvmixer.errors import UnknownOption

Run = Callable[[Tensor], Tensor]

BACKENDS = dict(torch='torch_eager', compile='torch_compiled', onnxruntime='onnxruntime',
                openvino='openvino')
PRECISIONS = ('float32', 'bfloat16', 'int8')


def load_backend(name: str) -> ModuleType:
    """Return a backend's module.

    Raises:
        UnknownOption: there is no such backend.
    """
    if name not in BACKENDS:
        raise UnknownOption(f'backend {name!r} is not known; these are: auto, '
                            f'{", ".join(BACKENDS)}')
    return import_module(f'mmconvmixer.deploy.backends.{BACKENDS[name]}')


def check_options(backend: str, precision: str) -> None:
    """Check a backend and a precision before any work is done.

    Raises:
        UnknownOption: there is no such backend or precision, or the backend does not
            have this precision.
        MissingPackage: a package that they need is not installed.
    """
    if precision not in PRECISIONS:
        raise UnknownOption(f'precision {precision!r} is not known; these are: '
                            f'{", ".join(PRECISIONS)}')
    if backend == 'auto':
        return
    packages = load_backend(backend).PACKAGES
    if precision not in packages:
        able = ', '.join(able_backends(precision)) or 'none that is installed'
        raise UnknownOption(f'backend {backend} has no precision {precision}; it has '
                            f'{", ".join(packages)}, and these have {precision}: {able}')
    require_packages(f'the backend {backend} in {precision}', 'deploy', *packages[precision])


def able_backends(precision: str) -> list[str]:
    """Return the backends that have a precision and whose packages are installed."""
    packages = {name: load_backend(name).PACKAGES for name in BACKENDS}
    return [name for name, needed in packages.items()
            if precision in needed and is_installed(*needed[precision])]

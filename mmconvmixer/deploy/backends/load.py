"""Which backends there are, and which of them can be used here."""
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from torch import Tensor

from mmconvmixer.deploy.packages import is_installed, require_packages
from mmconvmixer.errors import UnknownOption

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class RunIn:
    """A `Run` whose runtime says in which precision it computes."""
    run: Run
    precision: str

    def __call__(self, images: Tensor) -> Tensor:
        """Compute the logits of images."""
        return self.run(images)


def computed_precision(run: Run, asked: str) -> str:
    """Return the precision in which a backend computes, where `asked` was asked for."""
    return run.precision if isinstance(run, RunIn) else asked


BACKENDS = dict(torch='torch_eager', compile='torch_compiled', onnxruntime='onnxruntime',
                openvino='openvino', litert='litert')
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


def check_options(backend: str, precision: str, calibration: object = None) -> None:
    """Check a backend, a precision and the calibration before any work is done.

    A wrong request is an error on every processor, also on one that computes in float32
    instead.

    Args:
        backend: a key of `BACKENDS`, or 'auto'.
        precision: one of `PRECISIONS`.
        calibration: whatever gives the images for int8; None or empty if there are none.

    Raises:
        UnknownOption: there is no such backend or precision, the backend does not have
            this precision, or int8 lacks calibration images.
        MissingPackage: a package that they need is not installed.
    """
    if precision not in PRECISIONS:
        raise UnknownOption(f'precision {precision!r} is not known; these are: '
                            f'{", ".join(PRECISIONS)}')
    if backend != 'auto':
        _check_backend(backend, precision)
    if not isinstance(calibration, str | os.PathLike | list | tuple | None):
        raise UnknownOption(f'calib is of type {type(calibration).__name__}, expected a folder or '
                            'a list of images; make a list with list(...)')
    if precision == 'int8' and not calibration:
        raise UnknownOption('int8 needs real images for calibration; give calib, a folder with '
                            'some of them (--calib DIR)')


def _check_backend(backend: str, precision: str) -> None:
    module = load_backend(backend)
    packages = module.PACKAGES
    if precision not in packages:
        able = ', '.join(able_backends(precision)) or 'none that is installed'
        raise UnknownOption(f'backend {backend} has no precision {precision}; it has '
                            f'{", ".join(packages)}, and these have {precision}: {able}')
    require_packages(f'the backend {backend} in {precision}', module.EXTRA, *packages[precision])


def able_backends(precision: str) -> list[str]:
    """Return the backends that have a precision and whose packages are installed."""
    packages = {name: load_backend(name).PACKAGES for name in BACKENDS}
    return [name for name, needed in packages.items()
            if precision in needed and is_installed(*needed[precision])]

"""ConvMixer for mmpretrain: importing this package registers it there."""
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmconvmixer.version import __version__

# Parts of the package, such as `ops`, work with torch alone.
if find_spec('mmpretrain') is not None:
    from mmconvmixer.registration import register
    register()

__all__ = ['Predictor', '__version__', 'deploy', 'get_model', 'inference_model', 'list_models']


def __getattr__(name: str) -> Any:
    if name == 'deploy':
        return import_module('mmconvmixer.deploy')
    if name in __all__:
        return getattr(import_module('mmconvmixer.apis'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

"""ConvMixer for mmpretrain: importing this package registers it there."""
from .apis import Predictor, get_model, inference_model, list_models
from .registration import register
from .version import __version__

register()

__all__ = ['Predictor', '__version__', 'deploy', 'get_model', 'inference_model', 'list_models']


def __getattr__(name: str):
    if name == 'deploy':  # when somebody asks: the import of the package stays quick
        from importlib import import_module
        return import_module('mmconvmixer.deploy')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

"""ConvMixer and MLP-Mixer for mmpretrain: importing this package registers them there.

Nothing heavy is imported before a name below is used.
"""
from typing import TYPE_CHECKING, Any

from mmconvmixer.registry import import_quietly, register
from mmconvmixer.version import __version__

if TYPE_CHECKING:
    from mmconvmixer import deploy
    from mmconvmixer.apis import Predictor, inference_model
    from mmconvmixer.zoo import get_model, list_models

__all__ = ['Predictor', '__version__', 'deploy', 'get_model', 'inference_model', 'list_models']

_MODULES = dict(Predictor='apis', inference_model='apis', get_model='zoo', list_models='zoo')
_SUBMODULES = {'apis', 'checkpoints', 'datasets', 'deploy', 'errors', 'ops', 'zoo'}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_quietly(f'mmconvmixer.{_MODULES[name]}'), name)
    if name in _SUBMODULES:
        return import_quietly(f'mmconvmixer.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register()

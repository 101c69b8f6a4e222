"""ConvMixer for mmpretrain: importing this package registers it there."""
import warnings

with warnings.catch_warnings():
    # mmcv-lite says at every import that it lacks an operator nobody here uses.
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformable')
    import mmpretrain  # noqa: F401

from .apis import Predictor, get_model, inference_model, list_models
from .registration import register
from .version import __version__

register()

__all__ = ['Predictor', '__version__', 'get_model', 'inference_model', 'list_models']

"""ConvMixer for mmpretrain: importing this package registers it there."""
from .apis import Predictor, get_model, inference_model, list_models
from .registration import register
from .version import __version__

register()

__all__ = ['Predictor', '__version__', 'get_model', 'inference_model', 'list_models']

"""Networks that cannot be read, although they are called ConvMixer or MLP-Mixer."""
import re
from collections.abc import Mapping

from torch import Tensor

# What Keras calls layers of MLPs, blocks and parts: after their class and a counter.
_WITHOUT_NAMES = re.compile(
    r'(\w+/)*(conv2d|dense|layer_normalization|batch_normalization|fc\d|conv\d|norm\d?|bn\d|'
    r'projection)(_\d+)?/(kernel|bias|gamma|beta|moving_mean|moving_variance|\d)')


def lookalike(weights: Mapping[str, Tensor]) -> str:
    """Return what such a network is, in words that follow a file's name; '' if it is none.

    Args:
        weights: under the names that their library gave them.
    """
    name = next((key for key in weights if key.endswith('ConvMixerLayer_0/Conv_0/kernel')), '')
    if name and weights[name].dim() == 4 and weights[name].shape[0] > 1:
        height, width, *_ = weights[name].shape
        return (f"jax-models' ConvMixer, which is none: its pointwise convolution is {height} x "
                f'{width} between all channels, and its depthwise one 1 x 1; no weights of a '
                'ConvMixer fit it')
    tokens, channels = (weights.get(f'2.{mix}.fn.0.weight') for mix in (0, 1))
    if tokens is not None and channels is not None and tokens.dim() == 3 and channels.dim() == 2:
        return ("lucidrains' mlp-mixer-pytorch, which is another network by default: it exchanges "
                f'the factors of the two MLPs (here {len(tokens)} hidden tokens and '
                f'{len(channels)} hidden channels; Mixer-B has 384 and 3072)')
    if weights and all(map(_WITHOUT_NAMES.fullmatch, weights)):
        return ('a network of Keras whose layers have automatic names, and their order is not that '
                'of a ConvMixer; if Keras 2 wrote this as .weights.h5, which keeps no other names, '
                'save it as .h5')
    return ''

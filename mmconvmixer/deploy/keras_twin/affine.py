"""A twin for inference in int8: BatchNorm as a depthwise convolution of one pixel.

Converters make a multiplication and an addition of a BatchNorm, and give all channels'
factors one int8 scale between them. A convolution's weights have one each.
"""
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def norms_as_convolutions(twin: 'keras.Model') -> 'keras.Model':
    """Return a network that answers as the twin does and has no BatchNorm; for inference only."""
    import keras

    def replaced(layer: 'keras.layers.Layer') -> 'keras.layers.Layer':
        if isinstance(layer, keras.layers.BatchNormalization):
            return keras.layers.DepthwiseConv2D(1, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    def called(layer: 'keras.Operation', *inputs, mask: None = None, **options):
        return layer(*inputs, **options)  # BatchNorm has a mask, which a convolution doesn't know
    network = keras.models.clone_model(twin, clone_function=replaced, call_function=called)
    for before, after in zip(twin.layers, network.layers, strict=True):
        weights = before.get_weights()
        if isinstance(before, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (each.astype(np.float64) for each in weights)
            scale = gamma / np.sqrt(variance + before.epsilon)
            weights = [scale[None, None, :, None], beta - mean * scale]
        after.set_weights(weights)
    return network

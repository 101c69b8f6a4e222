"""A twin for inference in int8: BatchNorm becomes a depthwise convolution of 1 x 1.

Converters turn BatchNorm into a multiplication and an addition, and quantize the factors
of all channels with one int8 scale. The weights of a convolution have a scale for each
channel.
"""
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def norms_as_convolutions(twin: 'keras.Model') -> 'keras.Model':
    """Return a network without BatchNorm that computes what the twin computes in inference."""
    import keras

    def replaced(layer: 'keras.layers.Layer') -> 'keras.layers.Layer':
        if isinstance(layer, keras.layers.BatchNormalization):
            return keras.layers.DepthwiseConv2D(1, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    def called(layer: 'keras.Operation', *inputs: 'keras.KerasTensor', mask: None = None,
               **options: object) -> 'keras.KerasTensor':
        return layer(*inputs, **options)  # a convolution does not take BatchNorm's mask
    network = keras.models.clone_model(twin, clone_function=replaced, call_function=called)
    for before, after in zip(twin.layers, network.layers, strict=True):
        weights = before.get_weights()
        if isinstance(before, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (each.astype(np.float64) for each in weights)
            scale = gamma / np.sqrt(variance + before.epsilon)
            weights = [scale[None, None, :, None], beta - mean * scale]
        after.set_weights(weights)
    return network

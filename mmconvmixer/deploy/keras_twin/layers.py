"""torch layers -> Keras layers, each with the name of the torch module."""
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmconvmixer.errors import BadConfig

if TYPE_CHECKING:
    import keras


def activation(module: nn.Module) -> 'Callable[[keras.KerasTensor], keras.KerasTensor]':
    """Return the Keras function for a torch activation."""
    import keras
    if isinstance(module, nn.ReLU):
        return keras.activations.relu
    if isinstance(module, nn.GELU):
        approximate = module.approximate == 'tanh'
        return lambda x: keras.activations.gelu(x, approximate=approximate)
    raise BadConfig(f'{module} has no Keras twin here; ReLU and GELU have one')


def norm(module: nn.Module, name: str) -> 'keras.layers.Layer':
    """Return the twin of a BatchNorm or LayerNorm over the channels."""
    import keras
    if isinstance(module, _BatchNorm) and module.affine and module.running_var is not None:
        if module.momentum is None:
            raise BadConfig(f'{name} averages over all batches (momentum=None), which Keras '
                            'cannot do; give norm_cfg a momentum')
        # torch's momentum is the weight of the new value, Keras' that of the old one.
        return keras.layers.BatchNormalization(
            momentum=1 - module.momentum, epsilon=module.eps, name=name)
    if (type(module) is nn.LayerNorm and module.bias is not None
            and len(module.normalized_shape) == 1):
        return keras.layers.LayerNormalization(epsilon=module.eps, name=name)
    raise BadConfig(f'{name} is {module}, which has no Keras twin here; BatchNorm and LayerNorm '
                    'with weights and biases have one')


def conv(module: nn.Conv2d, name: str) -> 'keras.layers.Layer':
    """Return the twin of a convolution without padding or with 'same' padding."""
    import keras
    padding = 'valid' if module.padding == (0, 0) else module.padding
    depthwise = module.groups == module.in_channels == module.out_channels > 1
    if padding not in ('valid', 'same') or not (depthwise or module.groups == 1):
        raise BadConfig(f'{name} is {module}, which has no Keras twin here; convolutions with one '
                        "group or depthwise, without padding or with padding='same', have one")
    shape = dict(strides=module.stride, padding=padding, dilation_rate=module.dilation,
                 use_bias=module.bias is not None, name=name)
    if depthwise:
        return keras.layers.DepthwiseConv2D(module.kernel_size, **shape)
    return keras.layers.Conv2D(module.out_channels, module.kernel_size, **shape)


def drop_path(x: 'keras.KerasTensor', rate: float, name: str) -> 'keras.KerasTensor':
    """Return `x`, in training without that of whole images at random."""
    import keras
    shape = (None, *[1] * (x.ndim - 1))
    return keras.layers.Dropout(rate, noise_shape=shape, name=name)(x) if rate else x

"""ConvMixer in Keras.

image (N, H, W, C_in) -> stem -> blocks -> (N, H // patch, W // patch, embed_dims)
"""
from typing import TYPE_CHECKING

from mmconvmixer.deploy.keras_twin.layers import activation, conv, drop_path, norm
from mmconvmixer.models import ConvMixer
from mmconvmixer.models.convmixer import ConvMixerBlock

if TYPE_CHECKING:
    import keras


def convmixer(backbone: ConvMixer) -> 'tuple[keras.KerasTensor, keras.KerasTensor]':
    """Return the input images and the last of the backbone's feature maps."""
    import keras
    patches, act, stem_norm = backbone.stem
    images = keras.Input((None, None, patches.in_channels), name='images')
    x = conv(patches, 'backbone.stem.0')(images)
    x = norm(stem_norm, 'backbone.stem.2')(activation(act)(x))
    for index in range(backbone.out_indices[-1] + 1):  # the head does not use later blocks
        x = _block(backbone.stages[index], f'backbone.stages.{index}', x)
    return images, x


def _block(block: ConvMixerBlock, name: str, x: 'keras.KerasTensor') -> 'keras.KerasTensor':
    residual, mix_channels, act, channel_norm = block
    mix_space, space_act, space_norm = residual.fn
    y = conv(mix_space, f'{name}.0.fn.0')(x)
    y = norm(space_norm, f'{name}.0.fn.2')(activation(space_act)(y))
    x = x + drop_path(y, getattr(residual.drop_path, 'drop_prob', 0.), f'{name}.0.drop_path')
    x = conv(mix_channels, f'{name}.1')(x)
    return norm(channel_norm, f'{name}.3')(activation(act)(x))

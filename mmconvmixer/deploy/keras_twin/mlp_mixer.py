"""mmpretrain's MLP-Mixer in Keras.

image (N, H, W, C_in) -> patches (N, tokens, embed_dims) -> layers -> norm -> the same shape
"""
from typing import TYPE_CHECKING

from mmcv.cnn.bricks.transformer import FFN
from mmpretrain.models.backbones.mlp_mixer import MixerBlock
from torch import nn

from mmconvmixer.deploy.keras_twin.layers import activation, conv, drop_path, norm
from mmconvmixer.errors import BadConfig
from mmconvmixer.models import MlpMixer

if TYPE_CHECKING:
    import keras


def mlp_mixer(backbone: MlpMixer) -> 'tuple[keras.KerasTensor, keras.KerasTensor]':
    """Return the input images and the last of the backbone's token maps."""
    import keras
    embed = backbone.patch_embed
    images = keras.Input((*backbone.img_size, embed.projection.in_channels), name='images')
    x = images
    x = conv(embed.projection, 'backbone.patch_embed.projection')(x)
    x = keras.layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]))(x)
    if embed.norm is not None:
        x = norm(embed.norm, 'backbone.patch_embed.norm')(x)
    last = max(backbone.out_indices)  # the head does not use later layers
    for index in range(last + 1):
        x = _block(backbone.layers[index], f'backbone.layers.{index}', x)
    if last == len(backbone.layers) - 1:
        x = norm(backbone.norm1, f'backbone.{backbone.norm1_name}')(x)
    return images, x


def _block(block: MixerBlock, name: str, x: 'keras.KerasTensor') -> 'keras.KerasTensor':
    import keras
    turn = keras.layers.Permute((2, 1))
    y = turn(norm(block.norm1, f'{name}.{block.norm1_name}')(x))
    x = x + turn(_mlp(block.token_mix, f'{name}.token_mix', y))
    y = norm(block.norm2, f'{name}.{block.norm2_name}')(x)
    return x + _mlp(block.channel_mix, f'{name}.channel_mix', y)


def _mlp(mlp: FFN, name: str, x: 'keras.KerasTensor') -> 'keras.KerasTensor':
    """Return an mmcv FFN's branch.

    Its `layers` are [[Linear, activation, Dropout], ..., Linear, Dropout].
    """
    if not isinstance(mlp.gamma2, nn.Identity):
        raise BadConfig(f'{name} scales its output (layer_scale_init_value), which has no Keras '
                        'twin here')
    for index, part in enumerate(mlp.layers):
        if isinstance(part, nn.Sequential):
            linear, act, dropout = part
            x = activation(act)(_dense(linear, f'{name}.layers.{index}.0')(x))
            x = _dropout(x, dropout.p, f'{name}.layers.{index}.2')
        elif isinstance(part, nn.Dropout):
            x = _dropout(x, part.p, f'{name}.layers.{index}')
        else:
            x = _dense(part, f'{name}.layers.{index}')(x)
    return drop_path(x, getattr(mlp.dropout_layer, 'drop_prob', 0.), f'{name}.dropout_layer')


def _dense(linear: nn.Linear, name: str) -> 'keras.layers.Dense':
    import keras
    return keras.layers.Dense(linear.out_features, use_bias=linear.bias is not None, name=name)


def _dropout(x: 'keras.KerasTensor', rate: float, name: str) -> 'keras.KerasTensor':
    import keras
    return keras.layers.Dropout(rate, name=name)(x) if rate else x

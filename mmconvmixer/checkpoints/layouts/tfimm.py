"""Weights under the names of tfimm: timm's with slashes, and Keras's variables.

They are translated by way of this project's names in Keras, which knows the order of the axes.
"""
from mmconvmixer.checkpoints.layouts import keras
from mmconvmixer.checkpoints.layouts.layout import Layout, renamed

# tfimm/architectures/convmixer.py
_CONVMIXER = (
    (r'stem/(\d)/(\w+)', r'backbone.stem.\1/\2'),
    (r'blocks/(\d+)/0/fn/(\d)/(\w+)', r'backbone.stages.\1.0.fn.\2/\3'),
    (r'blocks/(\d+)/(\d)/(\w+)', r'backbone.stages.\1.\2/\3'),
    (r'head/(\w+)', r'head.fc/\1'),
)
_FROM_CONVMIXER = (
    (r'backbone\.stem\.(\d)/(\w+)', r'stem/\1/\2'),
    (r'backbone\.stages\.(\d+)\.0\.fn\.(\d)/(\w+)', r'blocks/\1/0/fn/\2/\3'),
    (r'backbone\.stages\.(\d+)\.(\d)/(\w+)', r'blocks/\1/\2/\3'),
    (r'head\.fc/(\w+)', r'head/\1'),
)
# tfimm/architectures/mlp_mixer.py
_LAYERS = {'fc1': 'layers.0.0', 'fc2': 'layers.1'}
_MIXER = (
    (r'stem/proj/(\w+)', r'backbone.patch_embed.projection/\1'),
    *((rf'blocks/(\d+)/mlp_(token|channel)s/{tfimm}/(\w+)', rf'backbone.layers.\1.\2_mix.{ours}/\3')
      for tfimm, ours in _LAYERS.items()),
    (r'blocks/(\d+)/norm(1|2)/(\w+)', r'backbone.layers.\1.ln\2/\3'),
    (r'norm/(\w+)', r'backbone.ln1/\1'),
    (r'head/(\w+)', r'head.fc/\1'),
)
_FROM_MIXER = (
    (r'backbone\.patch_embed\.projection/(\w+)', r'stem/proj/\1'),
    *((rf'backbone\.layers\.(\d+)\.(token|channel)_mix\.{ours}/(\w+)',
       rf'blocks/\1/mlp_\2s/{tfimm}/\3') for tfimm, ours in _LAYERS.items()),
    (r'backbone\.layers\.(\d+)\.ln(1|2)/(\w+)', r'blocks/\1/norm\2/\3'),
    (r'backbone\.ln1/(\w+)', r'norm/\1'),
    (r'head\.fc/(\w+)', r'head/\1'),
)

CONVMIXER = Layout(
    'tfimm', 'ConvMixer', frozenset(('stem/0/kernel', 'blocks/0/0/fn/0/kernel')),
    lambda weights: keras.CONVMIXER.to_mmpretrain(renamed(weights, _CONVMIXER)),
    lambda weights: renamed(keras.CONVMIXER.from_mmpretrain(weights), _FROM_CONVMIXER))
MIXER = Layout(
    'tfimm', 'MLP-Mixer', frozenset(('stem/proj/kernel', 'blocks/0/mlp_tokens/fc1/kernel')),
    lambda weights: keras.MIXER.to_mmpretrain(renamed(weights, _MIXER)),
    lambda weights: renamed(keras.MIXER.from_mmpretrain(weights), _FROM_MIXER), numerics='timm')

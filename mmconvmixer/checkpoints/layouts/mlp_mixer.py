"""MLP-Mixer's weights under the names of timm and of the original flax code."""
from mmconvmixer.checkpoints.layouts.flax_variables import from_flax, to_flax
from mmconvmixer.checkpoints.layouts.layout import Layout, renamed

# timm/models/mlp_mixer.py
_MIXES = ('token', 'channel')
_TIMM = (
    (r'stem\.proj\.(.*)', r'backbone.patch_embed.projection.\1'),
    *((rf'blocks\.(\d+)\.mlp_{mix}s\.fc1\.(.*)', rf'backbone.layers.\1.{mix}_mix.layers.0.0.\2')
      for mix in _MIXES),
    *((rf'blocks\.(\d+)\.mlp_{mix}s\.fc2\.(.*)', rf'backbone.layers.\1.{mix}_mix.layers.1.\2')
      for mix in _MIXES),
    (r'blocks\.(\d+)\.norm(1|2)\.(.*)', r'backbone.layers.\1.ln\2.\3'),
    (r'norm\.(.*)', r'backbone.ln1.\1'),
    (r'head\.(.*)', r'head.fc.\1'),
)
_TO_TIMM = (
    (r'backbone\.patch_embed\.projection\.(.*)', r'stem.proj.\1'),
    *((rf'backbone\.layers\.(\d+)\.{mix}_mix\.layers\.0\.0\.(.*)',
       rf'blocks.\1.mlp_{mix}s.fc1.\2') for mix in _MIXES),
    *((rf'backbone\.layers\.(\d+)\.{mix}_mix\.layers\.1\.(.*)',
       rf'blocks.\1.mlp_{mix}s.fc2.\2') for mix in _MIXES),
    (r'backbone\.layers\.(\d+)\.ln(1|2)\.(.*)', r'blocks.\1.norm\2.\3'),
    (r'backbone\.ln1\.(.*)', r'norm.\1'),
    (r'head\.fc\.(.*)', r'head.\1'),
)

TIMM_MIXER = Layout(
    'timm', 'MLP-Mixer', frozenset(('stem.proj.weight', 'blocks.0.mlp_tokens.fc1.weight')),
    lambda weights: renamed(weights, _TIMM), lambda weights: renamed(weights, _TO_TIMM),
    numerics='timm')

# vit_jax/models_mixer.py of google-research/vision_transformer, flattened with slashes.
_FLAX = (
    (r'stem/(.*)', r'backbone.patch_embed.projection.\1'),
    (r'MixerBlock_(\d+)/(token|channel)_mixing/Dense_0/(.*)',
     r'backbone.layers.\1.\2_mix.layers.0.0.\3'),
    (r'MixerBlock_(\d+)/(token|channel)_mixing/Dense_1/(.*)',
     r'backbone.layers.\1.\2_mix.layers.1.\3'),
    (r'MixerBlock_(\d+)/LayerNorm_0/(.*)', r'backbone.layers.\1.ln1.\2'),
    (r'MixerBlock_(\d+)/LayerNorm_1/(.*)', r'backbone.layers.\1.ln2.\2'),
    (r'pre_head_layer_norm/(.*)', r'backbone.ln1.\1'),
    (r'head/(.*)', r'head.fc.\1'),
)
_TO_FLAX = (
    (r'backbone\.patch_embed\.projection\.(.*)', r'stem/\1'),
    (r'backbone\.layers\.(\d+)\.(token|channel)_mix\.layers\.0\.0\.(.*)',
     r'MixerBlock_\1/\2_mixing/Dense_0/\3'),
    (r'backbone\.layers\.(\d+)\.(token|channel)_mix\.layers\.1\.(.*)',
     r'MixerBlock_\1/\2_mixing/Dense_1/\3'),
    (r'backbone\.layers\.(\d+)\.ln1\.(.*)', r'MixerBlock_\1/LayerNorm_0/\2'),
    (r'backbone\.layers\.(\d+)\.ln2\.(.*)', r'MixerBlock_\1/LayerNorm_1/\2'),
    (r'backbone\.ln1\.(.*)', r'pre_head_layer_norm/\1'),
    (r'head\.fc\.(.*)', r'head/\1'),
)


FLAX = Layout(
    'flax', 'MLP-Mixer',
    frozenset(('stem/kernel', 'MixerBlock_0/token_mixing/Dense_0/kernel')),
    lambda weights: from_flax(renamed(weights, _FLAX)),
    lambda weights: to_flax(renamed(weights, _TO_FLAX)), numerics='flax')

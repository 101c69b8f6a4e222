"""mmpretrain's names, which this project uses itself."""
from mmconvmixer.checkpoints.layouts.layout import Layout

CONVMIXER = Layout(
    'mmpretrain', 'ConvMixer',
    frozenset(('backbone.stem.0.weight', 'backbone.stages.0.0.fn.0.weight')), dict, dict)
MIXER = Layout(
    'mmpretrain', 'MLP-Mixer',
    frozenset(('backbone.patch_embed.projection.weight',
               'backbone.layers.0.token_mix.layers.0.0.weight')), dict, dict)

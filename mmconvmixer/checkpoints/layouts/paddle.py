"""MLP-Mixer's weights under the names of PaddleViT and of PASSL.

The reader of Paddle's files (`readers/plain_pickle.py`) gives axes and BatchNorms as in torch.
PaddleViT's ConvMixers have the names of the authors' code (`layouts/convmixer.py`).
"""
from mmconvmixer.checkpoints.layouts.layout import Layout, renamed
from mmconvmixer.checkpoints.layouts.mlp_mixer import TIMM_MIXER

# image_classification/MLP-Mixer/mlp_mixer.py of PaddleViT -> timm
_PADDLE_VIT = (
    (r'patch_embed\.patch_embed\.(.*)', r'stem.proj.\1'),
    (r'mixer_layers\.(.*)', r'blocks.\1'),
)
_TO_PADDLE_VIT = (
    (r'stem\.proj\.(.*)', r'patch_embed.patch_embed.\1'),
    (r'blocks\.(.*)', r'mixer_layers.\1'),
)
# modeling/backbones/mlp_mixer.py and heads/mlp_mixer_head.py of PASSL -> timm
_PASSL = (
    (r'backbone\.(.*)', r'\1'),
    (r'head\.fc_cls\.(.*)', r'head.\1'),
)
_TO_PASSL = (
    (r'head\.(.*)', r'head.fc_cls.\1'),
    (r'(.*)', r'backbone.\1'),
)

PADDLE_VIT = Layout(
    'PaddleViT', 'MLP-Mixer', frozenset((
        'patch_embed.patch_embed.weight', 'mixer_layers.0.mlp_tokens.fc1.weight')),
    lambda weights: TIMM_MIXER.to_mmpretrain(renamed(weights, _PADDLE_VIT)),
    lambda weights: renamed(TIMM_MIXER.from_mmpretrain(weights), _TO_PADDLE_VIT),
    numerics='timm')
PASSL = Layout(
    'PASSL', 'MLP-Mixer', frozenset((
        'backbone.stem.proj.weight', 'backbone.blocks.0.mlp_tokens.fc1.weight',
        'head.fc_cls.weight')),
    lambda weights: TIMM_MIXER.to_mmpretrain(renamed(weights, _PASSL)),
    lambda weights: renamed(TIMM_MIXER.from_mmpretrain(weights), _TO_PASSL), numerics='timm')

"""MLP-Mixer's weights under the names of mindcv (mindcv/models/mlpmixer.py).

Its patch embedding has no bias. Its blocks are appended to their list one by one, and MindSpore
calls the first of them `0` and the others `0.token_mix.1` and so on, after the first one's first
parameter.
"""
import re
from collections.abc import Mapping

from torch import Tensor

from mmconvmixer.checkpoints.layouts.layout import Layout, Weights, renamed

_LAYERS = {'0': 'layers.0.0', '3': 'layers.1'}
_NORM = dict(gamma='weight', beta='bias')
_STEM = 'backbone.patch_embed.projection'
_BLOCK = r'(?:0\.token_mix\.)?(\d+)'
_TO_MMPRETRAIN = (
    (r'to_patch_embedding\.0\.(.*)', rf'{_STEM}.\1'),
    *((rf'{_BLOCK}\.{mix}_mix\.{place}\.net\.{mindcv}\.(.*)',
       rf'backbone.layers.\1.{mix}_mix.{ours}.\2')
      for mix, place in (('token', 2), ('channel', 1)) for mindcv, ours in _LAYERS.items()),
    *((rf'{_BLOCK}\.{mix}_mix\.0\.{mindcv}',
       rf'backbone.layers.\1.ln{number}.{ours}')
      for number, mix in ((1, 'token'), (2, 'channel')) for mindcv, ours in _NORM.items()),
    *((rf'layer_norm\.{mindcv}', rf'backbone.ln1.{ours}') for mindcv, ours in _NORM.items()),
    (r'mlp_head\.(.*)', r'head.fc.\1'),
)
_FROM_MMPRETRAIN = (
    (rf'{_STEM}\.(.*)', r'to_patch_embedding.0.\1'),
    *((rf'backbone\.layers\.(\d+)\.{mix}_mix\.{ours}\.(.*)',
       rf'\1.{mix}_mix.{place}.net.{mindcv}.\2')
      for mix, place in (('token', 2), ('channel', 1)) for mindcv, ours in _LAYERS.items()),
    *((rf'backbone\.layers\.(\d+)\.ln{number}\.{ours}', rf'\1.{mix}_mix.0.{mindcv}')
      for number, mix in ((1, 'token'), (2, 'channel')) for mindcv, ours in _NORM.items()),
    *((rf'backbone\.ln1\.{ours}', rf'layer_norm.{mindcv}') for mindcv, ours in _NORM.items()),
    (r'head\.fc\.(.*)', r'mlp_head.\1'),
)


def _to_mmpretrain(weights: Mapping[str, Tensor]) -> Weights:
    result = renamed(weights, _TO_MMPRETRAIN)
    kernel = result[f'{_STEM}.weight']
    return {f'{_STEM}.bias': kernel.new_zeros(len(kernel)), **result}


def _from_mmpretrain(weights: Mapping[str, Tensor]) -> Weights:
    return {re.sub(r'^([1-9]\d*)\.', r'0.token_mix.\1.', name): value
            for name, value in renamed(weights, _FROM_MMPRETRAIN).items()}


MINDCV = Layout(
    'mindcv', 'MLP-Mixer', frozenset(('to_patch_embedding.0.weight', '0.token_mix.0.gamma')),
    _to_mmpretrain, _from_mmpretrain, numerics='mindcv')

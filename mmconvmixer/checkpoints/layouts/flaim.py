"""ConvMixer's weights under the names of flaim, which are those of flax's modules."""
from collections.abc import Mapping

from torch import Tensor

from mmconvmixer.checkpoints.layouts.flax_variables import from_flax, to_flax
from mmconvmixer.checkpoints.layouts.layout import Layout, Weights, renamed

# flaim/models/convmixer.py
_PARTS = {
    'ConvActBN_0/Conv_0/Conv_0': 'backbone.stem.0',
    'ConvActBN_0/BatchNorm_0': 'backbone.stem.2',
    'Head_0/Dense_0': 'head.fc',
}
_IN_BLOCKS = {
    'ConvActBN_0/Conv_0/Conv_0': '0.fn.0',
    'ConvActBN_0/BatchNorm_0': '0.fn.2',
    'ConvActBN_1/Conv_0/Conv_0': '1',
    'ConvActBN_1/BatchNorm_0': '3',
}
_TO_MMPRETRAIN = (
    *((rf'{flaim}/(\w+)', rf'{ours}.\1') for flaim, ours in _PARTS.items()),
    *((rf'ConvMixerBlock_(\d+)/{flaim}/(\w+)', rf'backbone.stages.\1.{ours}.\2')
      for flaim, ours in _IN_BLOCKS.items()),
)
_FROM_MMPRETRAIN = (
    *((rf'{ours}\.(\w+)', rf'{flaim}/\1') for flaim, ours in _PARTS.items()),
    *((rf'backbone\.stages\.(\d+)\.{ours}\.(\w+)', rf'ConvMixerBlock_\1/{flaim}/\2')
      for flaim, ours in _IN_BLOCKS.items()),
)


def _to_flaim(weights: Mapping[str, Tensor]) -> Weights:
    # flax does not count the batches of a BatchNorm.
    return to_flax(renamed({key: value for key, value in weights.items()
                            if not key.endswith('.num_batches_tracked')}, _FROM_MMPRETRAIN))


FLAIM = Layout('flaim', 'ConvMixer', frozenset((
    'ConvActBN_0/Conv_0/Conv_0/kernel', 'ConvMixerBlock_0/ConvActBN_0/Conv_0/Conv_0/kernel')),
    lambda weights: from_flax(renamed(weights, _TO_MMPRETRAIN)), _to_flaim)

"""The names that each library gives to the weights of the same network.

This package uses mmpretrain's names; every layout translates to them and back.
"""
from collections.abc import Collection

from mmconvmixer.checkpoints.layouts import keras, mmpretrain, paddle, tfimm
from mmconvmixer.checkpoints.layouts.convmixer import OFFICIAL, TIMM_CONVMIXER
from mmconvmixer.checkpoints.layouts.flaim import FLAIM
from mmconvmixer.checkpoints.layouts.layout import Layout
from mmconvmixer.checkpoints.layouts.mindcv import MINDCV
from mmconvmixer.checkpoints.layouts.mlp_mixer import FLAX, TIMM_MIXER

LAYOUTS = (mmpretrain.CONVMIXER, mmpretrain.MIXER, OFFICIAL, TIMM_CONVMIXER, TIMM_MIXER, FLAX,
           keras.CONVMIXER, keras.MIXER, FLAIM, paddle.PADDLE_VIT, paddle.PASSL,
           tfimm.CONVMIXER, tfimm.MIXER, MINDCV)

__all__ = ['LAYOUTS', 'Layout', 'layout_named', 'recognize']


def recognize(names: Collection[str]) -> Layout | None:
    """Return the layout of weights with these names, None if there is none."""
    return next((layout for layout in LAYOUTS
                 if all(name in names for name in layout.signature)), None)


def layout_named(name: str, family: str) -> Layout | None:
    """Return a library's ('timm', ...) layout of a family ('ConvMixer', ...), None without one."""
    return next((layout for layout in LAYOUTS
                 if (layout.name, layout.family) == (name, family)), None)

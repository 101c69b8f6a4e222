"""Use the GELU and the LayerNorm eps of the library that the weights come from.

Warn of another activation, which cannot be set after a network is built.

| | GELU | LayerNorm eps |
| --- | --- | --- |
| flax, google-research's MLP-Mixer | tanh form | 1e-6 |
| timm's MLP-Mixer | exact | 1e-6 |
| mindcv's MLP-Mixer | tanh form | 1e-7 |
| mmpretrain's MlpMixer | exact | 1e-5 |
"""
import logging

from mmengine.logging import print_log
from torch import nn

from mmconvmixer.errors import one_line
from mmconvmixer.models.convmixer import ConvMixer

NUMERICS = dict(flax=('tanh', 1e-6), timm=('none', 1e-6), mindcv=('tanh', 1e-7))


def use_numerics(model: nn.Module, numerics: str | None, source: str) -> None:
    """Make the model compute what the library of its weights would, and log the change.

    Args:
        model: a classifier or backbone.
        numerics: a key of `NUMERICS`; None leaves the model as it is.
        source: name of the checkpoint, for the log.
    """
    if not isinstance(numerics, str) or numerics not in NUMERICS:
        return
    model.numerics = numerics  # saved with the model's own checkpoints
    approximate, eps = NUMERICS[numerics]
    changed = False
    for module in model.modules():
        if isinstance(module, nn.GELU) and module.approximate != approximate:
            module.approximate, changed = approximate, True
        if isinstance(module, nn.LayerNorm) and module.eps != eps:
            module.eps, changed = eps, True
    if changed:
        print_log(f'{source} comes from {numerics}: the model now has GELU '
                  f'{"in the tanh form" if approximate == "tanh" else "exact"} and LayerNorm eps '
                  f'{eps:g}, as in that library', 'current')


def check_act(model: nn.Module, act: str | None, is_known: bool, source: str) -> None:
    """Warn if the weights of a ConvMixer were trained with another activation than it has.

    Args:
        model: a classifier or backbone.
        act: name of the activation; None if the checkpoint does not say.
        is_known: whether the checkpoint says so, or networks of its kind usually have it.
        source: name of the checkpoint, for the warning.
    """
    backbone = getattr(model, 'backbone', model)
    if act is None or not isinstance(backbone, ConvMixer):
        return
    own = type(backbone.act).__name__
    if own.lower() != act.lower():
        trained = 'was' if is_known else 'does not say its activation, but was likely'
        print_log(one_line(
            f'{source} {trained} trained with {act}, and the model has {own}, which gives other '
            f"answers; build it with backbone=dict(act_cfg=dict(type='{act}'))"), 'current',
            logging.WARNING)

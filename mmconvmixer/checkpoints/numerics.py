"""Computing as the library did whose weights these are.

| | GELU | LayerNorm eps |
| --- | --- | --- |
| flax, google-research's MLP-Mixer | tanh form | 1e-6 |
| timm's MLP-Mixer | exact | 1e-6 |
| mmpretrain's MlpMixer | exact | 1e-5 |
"""
from mmengine.logging import print_log
from torch import nn

NUMERICS = dict(flax=('tanh', 1e-6), timm=('none', 1e-6))


def use_numerics(model: nn.Module, numerics: str | None, source: str) -> None:
    """Make the model compute what the weights' own library would, and say what changed.

    Args:
        model: a classifier or backbone.
        numerics: a key of `NUMERICS`; None leaves the model as it is.
        source: the weights' name, for the log.
    """
    if not isinstance(numerics, str) or numerics not in NUMERICS:
        return
    model.numerics = numerics  # a checkpoint of the model notes it
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
                  f'{eps:g}, as there', 'current')

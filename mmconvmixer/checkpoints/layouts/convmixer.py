"""ConvMixer's weights under the names of the authors' code and of timm."""
import re
from collections.abc import Mapping

from torch import Tensor

from mmconvmixer.checkpoints.layouts.layout import Layout, Weights, renamed, unique

# timm/models/convmixer.py. The authors' ImageNet code, its origin, has the same names.
_TIMM = (
    (r'stem\.(.*)', r'backbone.stem.\1'),
    (r'blocks\.(.*)', r'backbone.stages.\1'),
    (r'head\.(.*)', r'head.fc.\1'),
)
_TO_TIMM = (
    (r'backbone\.stem\.(.*)', r'stem.\1'),
    (r'backbone\.stages\.(.*)', r'blocks.\1'),
    (r'head\.fc\.(.*)', r'head.\1'),
)

TIMM_CONVMIXER = Layout(
    'timm', 'ConvMixer', frozenset(('stem.0.weight', 'blocks.0.0.fn.0.weight')),
    lambda weights: renamed(weights, _TIMM), lambda weights: renamed(weights, _TO_TIMM))

# The paper's nn.Sequential (appendix D; convmixer.py of locuslab/convmixer and -cifar10) numbers
# its modules: patch convolution, activation, norm, the blocks, pooling, flattening, head.
_BEFORE, _BETWEEN = 3, 2


def _from_official(weights: Mapping[str, Tensor]) -> Weights:
    depth = _count(weights, r'(\d+)\.0\.fn\.0\.weight')

    def name(key: str) -> str:
        number, _, rest = key.partition('.')
        if not re.fullmatch('[0-9]{1,6}', number):
            return key
        if int(number) < _BEFORE:
            return f'backbone.stem.{key}'
        if int(number) < _BEFORE + depth:
            return f'backbone.stages.{int(number) - _BEFORE}.{rest}'
        return f'head.fc.{rest}' if int(number) == _BEFORE + depth + _BETWEEN else key
    return unique((name(key), value) for key, value in weights.items())


def _to_official(weights: Mapping[str, Tensor]) -> Weights:
    depth = _count(weights, r'backbone\.stages\.(\d+)\.0\.fn\.0\.weight')

    def name(key: str) -> str:
        if key.startswith('backbone.stem.'):
            return key.removeprefix('backbone.stem.')
        if match := re.fullmatch(r'backbone\.stages\.(\d+)\.(.*)', key):
            return f'{_BEFORE + int(match[1])}.{match[2]}'
        if key.startswith('head.fc.'):
            return f'{_BEFORE + depth + _BETWEEN}.{key.removeprefix("head.fc.")}'
        return key
    return unique((name(key), value) for key, value in weights.items())


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    return sum(bool(re.fullmatch(pattern, key)) for key in weights)


OFFICIAL = Layout('official', 'ConvMixer', frozenset(('0.weight', '3.0.fn.0.weight')),
                  _from_official, _to_official)

"""Token-mixing weights for another grid of patches.

A token-mixing MLP is W2 act(W1 x + b1) + b2, where x holds the N = h * w patches of one
channel. Each row of W1, each column of W2, and b2 is an image on the grid (h, w), and is
resampled as one. W1 is also scaled by N_old / N_new, so that its sums over patches keep
their size.

The paper (appendix C) does it differently, for grids K times as wide and high: K * K
copies of the old network side by side, which fine-tuning then has to connect. That needs
a whole number K, and it changes the shape of the hidden layer.
"""
import math
import re
from collections.abc import Mapping, MutableMapping

from torch import Tensor, nn
from torch.nn import functional as F

_TOKEN_MIXING = re.compile(r'layers\.\d+\.token_mix\.layers\.(0\.0\.weight|1\.weight|1\.bias)')


def resize_token_mixing(state_dict: MutableMapping[str, Tensor], prefix: str,
                        grid: tuple[int, int]) -> set[int]:
    """Resample all token-mixing weights of a state dict that are for another grid.

    Args:
        state_dict: changed in place; names are mmpretrain's.
        prefix: of the backbone's names, such as 'backbone.'.
        grid: patches (vertically, horizontally) of the network that will load them.
            Weights for another number of patches are assumed to be for a square grid.
            If that number is not a square, they are left for the loader to refuse.

    Returns:
        The sides of the square grids that weights were resampled from.
    """
    sides = set()
    for key in list(state_dict):
        name = key.removeprefix(prefix) if key.startswith(prefix) else ''
        part = _TOKEN_MIXING.fullmatch(name)
        if part is None:
            continue
        axis = 1 if part[1] == '0.0.weight' else 0
        value = state_dict[key]
        tokens = value.shape[axis]
        side = math.isqrt(tokens)
        if tokens == grid[0] * grid[1] or side * side != tokens:
            continue
        sides.add(side)
        resized = resize_grid(value.movedim(axis, -1), (side, side), grid).movedim(-1, axis)
        state_dict[key] = resized * (tokens / (grid[0] * grid[1]) if axis else 1)
    return sides


def resampled(model: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the state dict as the parts of a model with `interpolate_tokens` will load it.

    Such a part has a method `resample_tokens(state_dict, prefix)`.
    """
    parts = {name: part for name, part in model.named_modules()
             if getattr(part, 'interpolate_tokens', False)}
    if not parts:
        return state_dict
    state_dict = dict(state_dict)
    for name, part in parts.items():
        part.resample_tokens(state_dict, f'{name}.' if name else '')
    return state_dict


def resize_grid(x_N: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Resample (..., h * w) to (..., H * W): bicubic, and antialiased where it shrinks."""
    maps = x_N.float().reshape(1, -1, *old)
    resized = F.interpolate(maps, new, mode='bicubic', antialias=True)
    return resized.reshape(*x_N.shape[:-1], -1).to(x_N.dtype)

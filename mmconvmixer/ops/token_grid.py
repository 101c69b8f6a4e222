"""Token-mixing weights for another grid of patches.

A token-mixing MLP is W2 act(W1 x + b1) + b2 over the N = h * w patches x of a channel.
A row of W1 and a column of W2 are images on the grid (h, w), as b2 is, and they are
resampled as such. W1 is also scaled by N_old / N_new, so that its sums over patches
keep their size.

The paper (appendix C) has another way, for grids K times as wide and high: K * K copies
of the old network side by side, which then need fine-tuning to see each other. It takes
whole numbers K only, and changes the shape of the hidden layer.
"""
import logging
import math
import re
from collections.abc import Mapping, MutableMapping

from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn import functional as F

_TOKEN_MIXING = re.compile(r'layers\.\d+\.token_mix\.layers\.(0\.0\.weight|1\.weight|1\.bias)')


def resize_token_mixing(state_dict: MutableMapping[str, Tensor], prefix: str,
                        grid: tuple[int, int]) -> None:
    """Resample all token-mixing weights of a state dict that are for another grid.

    Args:
        state_dict: changed in place; names are mmpretrain's.
        prefix: of the backbone's names, such as 'backbone.'.
        grid: patches (vertically, horizontally) of the network that takes them. Weights
            for another number of patches are taken to be of a square grid; those of no
            square number are left, for the loader to refuse.
    """
    olds = set()
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
        olds.add(side)
        resized = resize_grid(value.movedim(axis, -1), (side, side), grid).movedim(-1, axis)
        state_dict[key] = resized * (tokens / (grid[0] * grid[1]) if axis else 1)
    if olds:
        print_log(f'token-mixing weights of {", ".join(f"{side} x {side}" for side in olds)} '
                  f'patches were resampled for {grid[0]} x {grid[1]}; accuracy falls until the '
                  'network is fine-tuned', 'current', logging.WARNING)


def resampled(model: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return a model's state dict as its parts with `interpolate_tokens` will take it."""
    parts = {name: part for name, part in model.named_modules()
             if getattr(part, 'interpolate_tokens', False)}
    if not parts:
        return state_dict
    state_dict = dict(state_dict)
    for name, part in parts.items():
        resize_token_mixing(state_dict, f'{name}.' if name else '', part.patch_resolution)
    return state_dict


def resize_grid(x_N: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Resample (..., h * w) to (..., H * W), bicubic, antialiased where it shrinks."""
    maps = x_N.float().reshape(1, -1, *old)
    resized = F.interpolate(maps, new, mode='bicubic', antialias=True)
    return resized.reshape(*x_N.shape[:-1], -1).to(x_N.dtype)

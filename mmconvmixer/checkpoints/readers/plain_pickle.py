"""The arrays in pickles that Paddle, flaim and other programs write with `pickle.dump`.

Paddle writes a dict of arrays and a table of names; its linear layers have weights (in, out), and
its BatchNorm other names. Programs in JAX write nested dicts of JAX's arrays, which pickle as
numpy's: stand-ins that can only create numbers take the place of both.
"""
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.checkpoints.readers.numpy_pickle import PlainArray, under_the_name
from mmconvmixer.errors import BadCheckpoint

_PADDLE = 'StructuredToParameterName@@'
_PADDLE_STATISTICS = dict(_mean='running_mean', _variance='running_var')
_FLAX = {'params', 'batch_stats'}  # collections whose variables have different names


def _jax_array(reconstruct: Any, arguments: tuple, state: tuple, *_: Any) -> PlainArray:
    array = reconstruct(*arguments)
    array.__setstate__(state)
    return array


def _frozen_dict(content: Mapping) -> Mapping:
    return content


JAX_STAND_INS = [
    *(under_the_name(f'jax.{module}', name, _jax_array)
      for module, name in (('_src.array', '_reconstruct_array'),
                           ('_src.device_array', 'reconstruct_device_array'))),
    under_the_name('flax.core.frozen_dict', 'FrozenDict', _frozen_dict),
]


def weights_in(content: Any, path: Path) -> Any:
    """Return the arrays of nested dicts as tensors, in torch's order of axes if Paddle wrote them.

    Args:
        content: what was unpickled.
        path: the file, for messages.

    Returns:
        Tensors by their keys, joined with slashes; `content` if there are no arrays in it.

    Raises:
        BadCheckpoint: dicts are nested too deeply, or the same numbers are repeated until they
            take far more memory than the file.
    """
    if not isinstance(content, Mapping):
        return content
    is_flax = ('params' in content and content.keys() <= _FLAX
               and all(isinstance(part, Mapping) for part in content.values()))
    parts = [*content.values()] if is_flax else [content]
    try:
        arrays = {name: array for part in parts for name, array in _arrays(part)}
    except RecursionError as error:
        raise BadCheckpoint(f'{path} has dicts in dicts without an end; expected the weights of a '
                            'network') from error
    held, size = sum(array.nbytes for array in arrays.values()), path.stat().st_size
    if held > size:  # pickles are not compressed
        raise BadCheckpoint(f'{path} was not loaded: its {size} bytes repeat the same numbers '
                            f'until they take {held}; save each array on its own')
    tensors = {name: _as_tensor(array) for name, array in arrays.items()}
    if not tensors:
        return content
    return dict(_as_in_torch(tensors)) if _PADDLE in content else tensors


def _arrays(content: Mapping, prefix: str = '') -> Iterator[tuple[str, np.ndarray]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _arrays(value, f'{prefix}{key}/')
        elif isinstance(value, np.ndarray):
            yield f'{prefix}{key}', value


def _as_tensor(array: np.ndarray) -> Tensor:
    # torch needs native byte order and contiguous, writable memory.
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder('='), order='C'))


def _as_in_torch(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield Paddle's weights with the names and axes of the same layers in torch."""
    for name, value in weights.items():
        layer, dot, variable = name.rpartition('.')
        if variable == 'weight' and value.dim() == 2:
            value = value.t().contiguous()
        yield f'{layer}{dot}{_PADDLE_STATISTICS.get(variable, variable)}', value

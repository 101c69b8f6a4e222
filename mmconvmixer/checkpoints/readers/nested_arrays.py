"""The weights in nested dicts of arrays, as JAX's programs save them."""
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.errors import BadCheckpoint


def tensors_in(content: Mapping, path: Path, size: int) -> dict[str, Tensor]:
    """Return the arrays as tensors by their keys, joined with slashes.

    Where flax's collections lie beside each other, these are the `params` and `batch_stats`, whose
    variables have different names, without the state of an optimizer.

    Args:
        content: dicts of dicts, with arrays or tensors as leaves; other leaves are left out.
        path: the file, for messages.
        size: the most bytes that the arrays may take together.

    Raises:
        BadCheckpoint: dicts are nested without an end, or the same numbers are repeated until they
            take far more memory than the file.
    """
    params, statistics = content.get('params'), content.get('batch_stats')
    parts = [content] if not isinstance(params, Mapping) else [
        params, *([statistics] if isinstance(statistics, Mapping) else [])]
    try:
        arrays = {name: array for part in parts for name, array in _leaves(part)}
    except RecursionError as error:
        raise BadCheckpoint(f'{path} has dicts in dicts without an end; expected the weights of a '
                            'network') from error
    held = sum(array.nbytes for array in arrays.values())
    if held > size:
        raise BadCheckpoint(f'{path} was not loaded: its {size} bytes repeat the same numbers '
                            f'until they take {held}; save each array on its own')
    return {name: as_tensor(array) for name, array in arrays.items()}


def as_tensor(array: np.ndarray | Tensor) -> Tensor:
    """Return an array in memory of its own, as torch needs it: contiguous, in native byte order."""
    if isinstance(array, Tensor):
        return array
    if array.dtype.name == 'bfloat16' or array.dtype.str == '|V2':
        # numpy has no bfloat16: JAX adds it, and without JAX it is two bytes of no type.
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder('='), order='C'))


def _leaves(content: Mapping, prefix: str = '') -> Iterator[tuple[str, np.ndarray | Tensor]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f'{prefix}{key}/')
        elif isinstance(value, np.ndarray | Tensor):
            yield f'{prefix}{key}', value

"""The arrays in pickles that Paddle, flaim and other programs write with `pickle.dump`.

Paddle writes a dict of arrays and a table of names; its linear layers have weights (in, out), and
its BatchNorm other names. Programs in JAX write nested dicts of JAX's arrays, which pickle as
numpy's: stand-ins that can only create numbers take the place of both.
"""
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmconvmixer.checkpoints.readers.nested_arrays import tensors_in
from mmconvmixer.checkpoints.readers.numpy_pickle import PlainArray, under_the_name

_PADDLE = 'StructuredToParameterName@@'
_PADDLE_STATISTICS = dict(_mean='running_mean', _variance='running_var')


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
        See `nested_arrays.tensors_in`; `content` if there are no arrays in it.

    Raises:
        BadCheckpoint: see `nested_arrays.tensors_in`.
    """
    size = path.stat().st_size  # pickles are not compressed
    tensors = tensors_in(content, path, size) if isinstance(content, Mapping) else {}
    if not tensors:
        return content
    return dict(_as_in_torch(tensors)) if _PADDLE in content else tensors


def _as_in_torch(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield Paddle's weights with the names and axes of the same layers in torch."""
    for name, value in weights.items():
        layer, dot, variable = name.rpartition('.')
        if variable == 'weight' and value.dim() == 2:
            value = value.t().contiguous()
        yield f'{layer}{dot}{_PADDLE_STATISTICS.get(variable, variable)}', value

"""Read numpy arrays in a pickle with replacements that can only create numbers.

numpy's own constructors are not safe: `ndarray((1,), 'O', bytes)` interprets bytes of the
file as addresses of objects.
"""
import pickle
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

CODES = ('b1', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8')


def under_the_name(module: str, name: str, function: Callable) -> Callable:
    """Return the function under a name by which the unpickler finds it as `module.name`."""
    def alias(*args: Any) -> Any:
        return function(*args)
    alias.__module__, alias.__name__, alias.__qualname__ = module, name, name
    return alias


class PlainDType:
    """Replaces a `numpy.dtype` of numbers."""

    def __init__(self, code: str, *flags: bool) -> None:
        if code not in CODES:
            raise pickle.UnpicklingError(f'GLOBAL numpy.dtype of {code!r}')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        if state[1] in '<>':
            self.dtype = self.dtype.newbyteorder(state[1])


class PlainArray(np.ndarray):
    """An array that only `_reconstruct` below can create and only numbers can fill."""

    def __new__(cls, *args: Any) -> NoReturn:  # noqa: D102, see the class
        raise pickle.UnpicklingError('GLOBAL numpy.ndarray called')

    def __setstate__(self, state: tuple) -> None:
        version, shape, dtype, is_fortran, raw = state
        if not isinstance(dtype, PlainDType) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError('GLOBAL numpy.ndarray of objects')
        super().__setstate__((version, shape, dtype.dtype, is_fortran, raw))

    def __reduce__(self) -> tuple:
        return self.view(np.ndarray).__reduce__()  # pickled as a plain array


def _no_ndarray(*args: Any) -> NoReturn:
    raise pickle.UnpicklingError('GLOBAL numpy.ndarray called')


_ndarray = under_the_name('numpy', 'ndarray', _no_ndarray)


def _reconstruct(kind: object, shape: tuple, code: bytes) -> PlainArray:
    if kind is not _ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError(f'GLOBAL numpy array of {kind}')
    return np.empty(0, np.int8).view(PlainArray)


def _frombuffer(raw: bytes | bytearray, dtype: PlainDType, shape: tuple, order: str
                ) -> PlainArray:
    """Replace what pickles of protocol 5 call."""
    if not isinstance(dtype, PlainDType) or not isinstance(raw, bytes | bytearray):
        raise pickle.UnpicklingError('GLOBAL numpy.ndarray of objects')
    how = 'F' if order == 'F' else 'C'
    return np.frombuffer(bytes(raw), dtype.dtype).reshape(shape, order=how).copy(how).view(
        PlainArray)


def _scalar(dtype: PlainDType, raw: bytes) -> np.generic:
    if not isinstance(dtype, PlainDType):
        raise pickle.UnpicklingError('GLOBAL numpy scalar of an object')
    return np.frombuffer(raw, dtype.dtype, count=1)[0]


# numpy 1 and numpy 2 write different module names into pickles.
STAND_INS = [
    PlainDType, PlainArray, _ndarray,
    under_the_name('numpy', 'dtype', PlainDType),
    *(under_the_name(f'numpy.{core}.multiarray', name, function)
      for core in ('core', '_core')
      for name, function in (('_reconstruct', _reconstruct), ('scalar', _scalar))),
    *(under_the_name(f'numpy.{core}.numeric', '_frombuffer', _frombuffer)
      for core in ('core', '_core')),
]

"""Numpy arrays out of a pickle, by stand-ins that can make numbers and nothing else.

numpy's own constructors are no safe globals: `ndarray((1,), 'O', bytes)` takes
bytes of the file for addresses of objects.
"""
import pickle
from collections.abc import Callable

import numpy as np

CODES = ('b1', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8')


def under_the_name(module: str, name: str, function: Callable) -> Callable:
    """Return a function that the unpickler takes for `module.name`."""
    def alias(*args):
        return function(*args)
    alias.__module__, alias.__name__, alias.__qualname__ = module, name, name
    return alias


class PlainDType:
    """Stands for a `numpy.dtype` of numbers."""

    def __init__(self, code: str, *flags: bool):
        if code not in CODES:
            raise pickle.UnpicklingError(f'GLOBAL numpy.dtype of {code!r}')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        if state[1] in '<>':
            self.dtype = self.dtype.newbyteorder(state[1])


class PlainArray(np.ndarray):
    """An array that only `_reconstruct` below can begin and only numbers can fill."""

    def __new__(cls, *args):
        raise pickle.UnpicklingError('GLOBAL numpy.ndarray called')

    def __setstate__(self, state: tuple) -> None:
        version, shape, dtype, is_fortran, raw = state
        if not isinstance(dtype, PlainDType) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError('GLOBAL numpy.ndarray of objects')
        super().__setstate__((version, shape, dtype.dtype, is_fortran, raw))

    def __reduce__(self) -> tuple:
        return self.view(np.ndarray).__reduce__()  # saved again as what it stands for


def _no_ndarray(*args):
    raise pickle.UnpicklingError('GLOBAL numpy.ndarray called')


_ndarray = under_the_name('numpy', 'ndarray', _no_ndarray)


def _reconstruct(kind: object, shape: tuple, code: bytes) -> PlainArray:
    if kind is not _ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError(f'GLOBAL numpy array of {kind}')
    return np.empty(0, np.int8).view(PlainArray)


def _scalar(dtype: PlainDType, raw: bytes) -> np.generic:
    if not isinstance(dtype, PlainDType):
        raise pickle.UnpicklingError('GLOBAL numpy scalar of an object')
    return np.frombuffer(raw, dtype.dtype, count=1)[0]


# numpy 1 and numpy 2 write different module names.
STAND_INS = [
    PlainDType, PlainArray, _ndarray,
    under_the_name('numpy', 'dtype', PlainDType),
    *(under_the_name(f'numpy.{core}.multiarray', name, function)
      for core in ('core', '_core')
      for name, function in (('_reconstruct', _reconstruct), ('scalar', _scalar))),
]

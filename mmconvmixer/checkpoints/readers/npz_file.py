"""Files that numpy.savez wrote."""
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.checkpoints.readers.zip_archive import check_archive
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint


def read_npz(path: Path) -> dict[str, Tensor]:
    """Return the arrays as tensors, keys as they are.

    Raises:
        UnsafeCheckpoint: an array of pickled objects.
        BadCheckpoint: cut short, damaged, or no array that torch has too.
    """
    check_archive(path, compressed=True)
    arrays, key = {}, 'the first array'
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                arrays[key] = _as_tensor(archive[key])
    except Exception as error:  # whatever a damaged header makes numpy raise
        if 'allow_pickle' in str(error):
            raise UnsafeCheckpoint(f'{path} was not loaded: {key} in it is pickled objects, which '
                                   'could run code; expected arrays of numbers') from error
        raise BadCheckpoint(f'{path} is damaged, or holds something else than arrays of numbers '
                            f'({error})') from error
    return arrays


def _as_tensor(array: np.ndarray) -> Tensor:
    # Little-endian, contiguous and writable, as torch wants it.
    return torch.from_numpy(array.astype(array.dtype.newbyteorder('='), order='C', copy=True))

"""Read the files of numpy.savez."""
from pathlib import Path

import numpy as np
from torch import Tensor

from mmconvmixer.checkpoints.readers.nested_arrays import as_tensor
from mmconvmixer.checkpoints.readers.zip_archive import check_archive, names_in_archive
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint


def looks_like_npz(path: Path) -> bool:
    """Whether a file is a zip archive of .npy files only; torch's have a data.pkl."""
    names = names_in_archive(path)
    return bool(names) and all(name.endswith('.npy') for name in names)


def read_npz(path: Path) -> dict[str, Tensor]:
    """Return the arrays as tensors under their own keys.

    Raises:
        UnsafeCheckpoint: an array consists of pickled objects.
        BadCheckpoint: the file is cut short or damaged, or torch has no such dtype.
    """
    check_archive(path, compressed=True)
    arrays, key = {}, 'the first array'
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                arrays[key] = as_tensor(archive[key])
    except Exception as error:  # for a damaged header numpy may raise anything
        if 'allow_pickle' in str(error):
            raise UnsafeCheckpoint(f'{path} was not loaded: {key} in it is pickled objects, which '
                                   'could run code; expected arrays of numbers') from error
        raise BadCheckpoint(f'{path} is damaged, or holds something other than arrays of numbers '
                            f'({error})') from error
    return arrays

"""Writing checkpoint files whole, named by their content."""
import hashlib
import os
from pathlib import Path

import torch

from mmconvmixer.files import written_whole


def write_checkpoint(checkpoint: dict, path: str | os.PathLike) -> None:
    """Write `checkpoint` to `path`, whole or not at all.

    Raises:
        OutputNotWritable: see `mmconvmixer.files.written_whole`.
    """
    # Given a name, torch writes it into the archive; given a file, it does not,
    # and equal checkpoints make equal files.
    with written_whole(path) as part, open(part, 'wb') as file:
        torch.save(checkpoint, file)


def publish(checkpoint: dict, folder: str | os.PathLike, name: str) -> Path:
    """Write `folder/name-<first 8 of its sha256>.pth`, OpenMMLab's convention.

    Returns:
        The path written.
    """
    folder = Path(folder)
    unnamed = folder / f'{name}.pth'
    write_checkpoint(checkpoint, unnamed)
    digest = hashlib.sha256(unnamed.read_bytes()).hexdigest()
    return unnamed.rename(folder / f'{name}-{digest[:8]}.pth')

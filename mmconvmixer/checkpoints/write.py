"""Writing checkpoint files whole, named by their content."""
import hashlib
import io
import os
from pathlib import Path

import torch

from mmconvmixer.files import written_whole


def write_checkpoint(checkpoint: dict, path: str | os.PathLike) -> None:
    """Write `checkpoint` to `path`, whole or not at all.

    Raises:
        OutputNotWritable: see `mmconvmixer.files.written_whole`.
    """
    # Through memory: torch writes a file's name into the archive, so that equal
    # checkpoints would differ, and hides what went wrong with a full disk.
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    with written_whole(path) as part:
        part.write_bytes(buffer.getbuffer())


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

"""Write checkpoint files: atomically, and with their hash in the name to publish them."""
import hashlib
import io
import os
from pathlib import Path

import torch

from mmconvmixer._support.atomic_write import atomic_write


def write_checkpoint(checkpoint: dict, path: str | os.PathLike) -> None:
    """Write `checkpoint` to `path` completely or not at all.

    Raises:
        OutputNotWritable: see `mmconvmixer._support.atomic_write.atomic_write`.
    """
    with atomic_write(path) as part:
        part.write_bytes(serialized(checkpoint))


def write_published(checkpoint: dict, folder: str | os.PathLike, name: str) -> Path:
    """Write `folder/name-<first 8 digits of its sha256>.pth`, OpenMMLab's convention.

    Equal checkpoints give equal files.

    Returns:
        The path written.
    """
    content = serialized(checkpoint)
    path = Path(folder, f'{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth')
    with atomic_write(path) as part:
        part.write_bytes(content)
    return path


def serialized(checkpoint: dict) -> bytes:
    """Return the content of a checkpoint's file."""
    # In memory: torch.save to a path writes the file name into the archive, so equal
    # checkpoints would differ, and it hides the cause when a disk is full.
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()

"""Writing checkpoint files whole, named by their content."""
import hashlib
import io
import os
from pathlib import Path

import torch

from mmconvmixer._support.atomic_write import atomic_write


def write_checkpoint(checkpoint: dict, path: str | os.PathLike) -> None:
    """Write `checkpoint` to `path`, whole or not at all.

    Raises:
        OutputNotWritable: see `mmconvmixer._support.atomic_write.atomic_write`.
    """
    with atomic_write(path) as part:
        part.write_bytes(serialized(checkpoint))


def write_published(checkpoint: dict, folder: str | os.PathLike, name: str) -> Path:
    """Write `folder/name-<first 8 of its sha256>.pth`, OpenMMLab's convention.

    Equal checkpoints make equal files.

    Returns:
        The path written.
    """
    content = serialized(checkpoint)
    path = Path(folder, f'{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth')
    with atomic_write(path) as part:
        part.write_bytes(content)
    return path


def serialized(checkpoint: dict) -> bytes:
    # Through memory: torch writes a file's name into the archive, so that equal
    # checkpoints would differ, and hides what went wrong with a full disk.
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()

"""Which files count as images, and how a folder's images are listed."""
import os
from pathlib import Path

# The formats that mmpretrain's datasets list, and WebP, which the decoders read as well.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')


def image_files(folder: str | os.PathLike, recursive: bool = True) -> list[str]:
    """Return the image files in a folder, sorted, as paths relative to it.

    Only the suffix decides, in either case. Hidden files and folders are skipped: macOS, for
    example, puts a `._name.jpg` that is not an image beside `name.jpg`.

    Args:
        folder: an existing local folder.
        recursive: whether to list the folders below it too, as `sub/folder/name.png`.
    """
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if recursive and not name.startswith('.')]
        found += [Path(where, name).relative_to(folder).as_posix() for name in names
                  if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith('.')]
    return sorted(found)

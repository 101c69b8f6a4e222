"""Which files and folders count, and how a folder's images are listed: one rule for everybody."""
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmconvmixer.errors import DatasetNotFound

# The formats that mmpretrain's datasets list, the other names of JPEG and the like, and what
# today's decoders read besides.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.jp2', '.png', '.ppm', '.pgm', '.pbm', '.pnm',
                  '.bmp', '.dib', '.tif', '.tiff', '.webp', '.gif', '.avif')

# Folders that other programs put beside images: macOS, network drives, Windows, Linux, Python.
_FOREIGN_FOLDERS = ('__macosx', '@eadir', '@recycle', '#recycle', '#snapshot', '$recycle.bin',
                    'system volume information', 'lost+found', '__pycache__')


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        images: the image files, sorted, as paths relative to the folder.
        left_out: everything else, sorted, in the same form; folders that are not looked
            into end in '/'.
    """

    images: list[str]
    left_out: list[str]


def list_images(folder: str | os.PathLike, recursive: bool = True) -> Listing:
    """List the image files in a folder, and what is left out.

    The suffix decides, in either case. Left out are hidden files and folders (macOS, for
    example, puts a `._name.jpg` that is not an image beside `name.jpg`), folders of other
    programs, links to folders, and everything that is not a regular file: reading a pipe or
    a device might never end.

    Args:
        folder: an existing local folder.
        recursive: whether to list the folders below it too, as `sub/folder/name.png`.
    """
    images: list[str] = []
    left_out: list[str] = []
    pending = ['']
    while pending:
        below = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, below)))
        except OSError:  # a folder that this user may not read
            left_out.append(below)
            continue
        for entry in entries:
            name = f'{below}{entry.name}'
            # os.path, because an entry raises an error for a link to itself.
            if os.path.isdir(entry) if entry.is_symlink() else entry.is_dir():
                enter = recursive and is_for_images(entry.name) and not entry.is_symlink()
                (pending if enter else left_out).append(f'{name}/')
            elif (entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith('.')
                    and (os.path.isfile(entry) if entry.is_symlink() else entry.is_file())):
                images.append(name)
            else:
                left_out.append(name)
    return Listing(sorted(images), sorted(left_out))


def image_files(folder: str | os.PathLike, recursive: bool = True) -> list[str]:
    """Return the images of `list_images` alone."""
    return list_images(folder, recursive).images


def class_folders(folder: str | os.PathLike) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden and foreign ones.

    Raises:
        DatasetNotFound: a name is not valid UTF-8, so that no file could record it.
    """
    names = sorted(path.name for path in Path(folder).iterdir()
                   if path.is_dir() and is_for_images(path.name))
    for name in names:
        if not is_text(name):
            raise DatasetNotFound(f'{printable(folder)} has a folder whose name is not valid '
                                  f'UTF-8, {printable(name)}; rename it')
    return names


def is_for_images(folder_name: str) -> bool:
    """Return whether a folder may hold images, as opposed to one that another program made."""
    return not folder_name.startswith('.') and folder_name.lower() not in _FOREIGN_FOLDERS


def describe_left_out(names: Sequence[str], most: int = 3) -> str:
    """Return a clause that counts what was left out, with examples; '' for nothing."""
    if not names:
        return ''
    some = ', '.join(printable(name) for name in names[:most])
    return f'{len(names)} left out as not an image: {some}' + (
        ', ...' if len(names) > most else '')


def is_text(name: str) -> bool:
    """Return whether a file name is valid UTF-8. Python escapes the bytes that are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(path: str | os.PathLike) -> str:
    """Return a path with the bytes that are not text escaped, so that it can be printed."""
    return os.fspath(path).encode(errors='backslashreplace').decode()


def printable(path: str | os.PathLike, longest: int = 200) -> str:
    """Return a path for a message: escaped, and shortened in the middle."""
    text = escaped(path)
    return text if len(text) <= longest else f'{text[:longest // 2]}...{text[-longest // 2:]}'

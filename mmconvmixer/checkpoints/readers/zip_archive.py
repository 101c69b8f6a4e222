"""Check that a zip archive of torch.save or numpy.savez is complete and harmless.

Such archives have a checksum for every part, which torch does not check.
"""
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from mmconvmixer._support.resources import raise_if_exhausted
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint

# Trained weights hardly compress. Zeros do, by a factor of a thousand.
_MOST_EXPANDED = 50
_ALWAYS_ALLOWED = 64 << 20  # bytes
_MOST_PARTS = 100_000  # a part for each tensor; the largest networks have a few thousand


def names_in_archive(path: Path) -> list[str]:
    """Return the names of the parts, [] if the file is no zip archive or a damaged one.

    Raises:
        OutOfResources: see `raise_if_exhausted`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise_if_exhausted(error)
        return []  # the reader says what is wrong with it


def check_archive(path: Path, compressed: bool) -> None:
    """Read the whole archive once and check its parts.

    Args:
        path: the archive.
        compressed: whether its parts may be compressed, as numpy.savez_compressed does.

    Raises:
        UnsafeCheckpoint: a part's name leads out of the folder, or the parts unpack to
            far more than the size of the file.
        BadCheckpoint: the archive is cut short or damaged, or two parts have one name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(path, archive.infolist(), compressed)
            damaged = archive.testzip()
    except UnsafeCheckpoint:
        raise
    # zipfile and zlib raise all of these for damaged headers.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError,
            RuntimeError) as error:
        if isinstance(error, BadCheckpoint):
            raise
        raise_if_exhausted(error)
        raise BadCheckpoint(f'{path} is cut short or damaged ({path.stat().st_size} bytes: '
                            f'{error}); copy or download it again') from error
    if damaged:
        raise BadCheckpoint(f'{path} is damaged: the checksum of {damaged} in it is wrong; copy or '
                            'download it again')


def _check_parts(path: Path, parts: list[zipfile.ZipInfo], compressed: bool) -> None:
    if len(parts) > _MOST_PARTS:
        raise BadCheckpoint(f'{path} was not loaded: it has {len(parts)} parts, far more than a '
                            'network has weights')
    names = [part.filename for part in parts]
    for name in names:
        # On Windows a backslash is also a separator.
        steps = PurePosixPath(name.replace('\\', '/'))
        if steps.is_absolute() or '..' in steps.parts or ':' in name:
            raise UnsafeCheckpoint(f'{path} was not loaded: it has a part {name!r}, which leads '
                                   'out of any folder; no library writes such files')
    (name, times), = Counter(names).most_common(1) or [('', 0)]
    if times > 1:
        raise BadCheckpoint(f'{path} has two parts of the name {name}; it is unclear which to '
                            'load. Get it again from its author')
    # numpy writes only these two; torch.save does not compress.
    allowed = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if compressed else (zipfile.ZIP_STORED,)
    packed = next((part.filename for part in parts if part.compress_type not in allowed), None)
    if packed:
        raise BadCheckpoint(f'{path} has a compressed part ({packed}), which torch.save never '
                            'writes; if it is a TorchScript program, save its state_dict()')
    size, unpacked = path.stat().st_size, sum(part.file_size for part in parts)
    if unpacked > max(_ALWAYS_ALLOWED, _MOST_EXPANDED * size):
        raise UnsafeCheckpoint(f'{path} was not loaded: its {size} bytes would unpack to '
                               f'{unpacked}, more than weights ever do')

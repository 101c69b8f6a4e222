"""Is a zip archive, as torch.save and numpy.savez write it, whole and nothing else?

Both carry a checksum of every part, which torch does not look at.
"""
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint

# Random weights do not compress; zeros do, by a thousand.
_MOST_EXPANDED = 50
_ALWAYS_ALLOWED = 64 << 20  # bytes


def check_archive(path: Path, compressed: bool) -> None:
    """Read the archive through once.

    Args:
        compressed: whether its parts may be, as with numpy.savez_compressed.

    Raises:
        UnsafeCheckpoint: names that lead out of a folder, or contents that
            unpack to far more than the file.
        BadCheckpoint: cut short, damaged, or one name for two parts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(path, archive.infolist(), compressed)
            damaged = archive.testzip()
    except UnsafeCheckpoint:
        raise
    # What damaged headers make zipfile and zlib raise.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError,
            RuntimeError) as error:
        if isinstance(error, BadCheckpoint):
            raise
        raise BadCheckpoint(f'{path} is cut short or damaged ({path.stat().st_size} bytes: '
                            f'{error}); copy or download it again') from error
    if damaged:
        raise BadCheckpoint(f'{path} is damaged: the checksum of {damaged} in it is another; copy '
                            'or download it again')


def _check_parts(path: Path, parts: list[zipfile.ZipInfo], compressed: bool) -> None:
    names = [part.filename for part in parts]
    for name in names:
        # A backslash is a separator where it matters most.
        steps = PurePosixPath(name.replace('\\', '/'))
        if steps.is_absolute() or '..' in steps.parts or ':' in name:
            raise UnsafeCheckpoint(f'{path} was not loaded: it has a part {name!r}, which leads '
                                   'out of any folder; no library writes such files')
    (name, times), = Counter(names).most_common(1) or [('', 0)]
    if times > 1:
        raise BadCheckpoint(f'{path} has two parts of the name {name}; nobody knows which is '
                            'meant. Get it again from its author')
    # All that numpy writes; torch.save does not compress.
    allowed = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if compressed else (zipfile.ZIP_STORED,)
    packed = next((part.filename for part in parts if part.compress_type not in allowed), None)
    if packed:
        raise BadCheckpoint(f'{path} has a compressed part ({packed}), which torch.save never '
                            'writes; if it is a TorchScript program, save its state_dict()')
    size, unpacked = path.stat().st_size, sum(part.file_size for part in parts)
    if unpacked > max(_ALWAYS_ALLOWED, _MOST_EXPANDED * size):
        raise UnsafeCheckpoint(f'{path} was not loaded: its {size} bytes would unpack to '
                               f'{unpacked}')

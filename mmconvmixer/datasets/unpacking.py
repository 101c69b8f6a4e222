"""Unpacking a tar archive of data, which can write nowhere but into its folder."""
import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from mmconvmixer.errors import BadArchive, OutputNotWritable

# Images are compressed already: more than this is no archive of images.
_MOST_EXPANDED = 20
_ALWAYS_ALLOWED = 64 << 20  # bytes


def unpack(archive: Path, folder: Path) -> int:
    """Write what is in the archive's one top folder into `folder`, whole or not at all.

    Args:
        archive: a tar file, compressed or not.
        folder: to make; nothing may be there but an empty folder.

    Returns:
        The number of files.

    Raises:
        BadArchive: cut short or damaged; a link, a device, a name that leads out
            of the folder, several top folders, or far more bytes than the file has.
        OutputNotWritable: the disk is full or read-only.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=f'.{folder.name}.') as scratch:
            unpacked = Path(scratch, folder.name)
            unpacked.mkdir()
            count = _write(archive, unpacked)
            if folder.is_dir():
                folder.rmdir()
            unpacked.rename(folder)
    except OSError as error:
        if isinstance(error, BadArchive):
            raise
        raise OutputNotWritable(f'{folder} can not be written: {error.strerror or error}; name '
                                'a folder that is writable') from error
    return count


def _write(archive: Path, folder: Path) -> int:
    left = _MOST_EXPANDED * archive.stat().st_size + _ALWAYS_ALLOWED
    tops, count = set(), 0
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                top, path = _checked(archive, member)
                tops.add(top)
                left -= member.size
                if len(tops) > 1 or left < 0:
                    raise BadArchive(f'{archive} has ' + (
                        'more than one top folder' if len(tops) > 1 else
                        'far more in it than its size allows') + '; it was not unpacked')
                if member.isdir():
                    continue
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, 'xb') as file:
                    shutil.copyfileobj(tar.extractfile(member), file)
                count += 1
            # tarfile takes a damaged header for the end; reading on compares checksums.
            while rest := tar.fileobj.read(1 << 20):
                if rest.strip(b'\0'):
                    raise tarfile.ReadError('a header can not be read')
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, FileExistsError,
            NotADirectoryError, IsADirectoryError) as error:
        raise BadArchive(f'{archive} is cut short or damaged ({error}); copy or download it '
                         'again') from error
    return count


def _checked(archive: Path, member: tarfile.TarInfo) -> tuple[str, Path]:
    """Return the top folder of a member and its path below that."""
    name = PurePosixPath(member.name)
    kind = 'a link or device' if not (member.isfile() or member.isdir()) else ''
    leads_out = name.is_absolute() or '..' in name.parts or '\\' in member.name \
        or ':' in member.name
    is_loose = len(name.parts) < 2 and not member.isdir()
    if kind or leads_out or is_loose or not name.parts:
        reason = kind or ('a name that leads out of its folder' if leads_out
                          else 'a file outside of its folder')
        raise BadArchive(f'{archive} has {reason}, {member.name!r}; it was not unpacked')
    return name.parts[0], Path(*name.parts[1:])

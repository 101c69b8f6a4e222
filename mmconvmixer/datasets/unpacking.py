"""Unpack a tar archive of data without ever writing outside its folder."""
import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from mmconvmixer.errors import BadArchive, OutputNotWritable

# Images are compressed already: an archive that expands more than this holds something else.
_MAX_EXPANSION = 20
_ALWAYS_ALLOWED = 64 << 20  # bytes


def unpack(archive: Path, folder: Path) -> int:
    """Write the content of the archive's one top folder into `folder`, completely or not at all.

    Args:
        archive: a tar file, compressed or not.
        folder: the folder to create; it may exist if it is empty.

    Returns:
        The number of files.

    Raises:
        BadArchive: the archive is truncated or damaged, or has a link, a device, a name that
            leads out of its folder, several top folders, or far more bytes than the file.
        OutputNotWritable: the folder is not empty, or the disk is full or read-only.
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
        raise OutputNotWritable(f"{folder} can't be written: {error.strerror or error}; name "
                                'a writable folder') from error
    return count


def _write(archive: Path, folder: Path) -> int:
    left = _MAX_EXPANSION * archive.stat().st_size + _ALWAYS_ALLOWED
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
                        'far more content than its size allows') + '; it was not unpacked')
                if member.isdir():
                    continue
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, 'xb') as file:
                    shutil.copyfileobj(tar.extractfile(member), file)
                count += 1
            # tarfile takes a damaged header for the end of the archive. Reading to the end
            # finds what follows it and makes gzip compare its checksum.
            while rest := tar.fileobj.read(1 << 20):
                if rest.strip(b'\0'):
                    raise tarfile.ReadError("a header can't be read")
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, FileExistsError,
            NotADirectoryError, IsADirectoryError) as error:
        raise BadArchive(f'{archive} is truncated or damaged ({error}); copy or download it '
                         'again') from error
    return count


def _checked(archive: Path, member: tarfile.TarInfo) -> tuple[str, Path]:
    """Return the top folder of an archive's member, and the member's path below it."""
    name = PurePosixPath(member.name)
    kind = 'a link or device' if not (member.isfile() or member.isdir()) else ''
    leads_out = name.is_absolute() or '..' in name.parts or '\\' in member.name \
        or ':' in member.name
    is_loose = len(name.parts) < 2 and not member.isdir()
    if kind or leads_out or is_loose or not name.parts:
        reason = kind or ('a name that leads out of its folder' if leads_out
                          else 'a file outside its top folder')
        raise BadArchive(f'{archive} has {reason}, {member.name!r}; it was not unpacked')
    return name.parts[0], Path(*name.parts[1:])

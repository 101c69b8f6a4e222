"""Unpack a tar archive of data without ever writing outside its folder."""
import gzip
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any

from mmconvmixer.errors import BadArchive, OutputNotWritable

# Images are compressed already: an archive that expands more than this holds something else.
_MAX_EXPANSION = 20
_ALWAYS_ALLOWED = 64 << 20  # bytes
_MAX_MEMBERS = 200_000
# Long names and attributes have entries of their own, which tarfile reads into memory.
_MAX_TEXT = 1 << 20  # bytes
_WITH_TEXT = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
              tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
# A chain of such entries is a recursion in tarfile, and text in them may be no text.
_DAMAGED = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError,
            RecursionError, UnicodeError, OverflowError)


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


def read_members(archive: Path, most_members: int, most_bytes: int
                 ) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield the members of a tar file with their content, None for folders.

    Everything is checked before it is read: nothing that a member claims makes this wait or fill
    the memory. After the last member the file is read to its end, which checks it.

    Args:
        archive: path of the file, compressed or not.
        most_members: the number that is allowed.
        most_bytes: the bytes that are allowed, uncompressed and in all.

    Raises:
        BadArchive: the archive has a link or a device, or more members, more bytes or longer
            names than is allowed. `naming_damage` adds truncated and damaged ones.
    """
    left = most_bytes
    with tarfile.open(archive, tarinfo=_CheckedHeader) as tar:
        for count, member in enumerate(tar, 1):
            left -= max(member.size, 0) + tarfile.BLOCKSIZE
            reason = ('far more files than expected' if count > most_members else
                      'far more content than its size allows' if left < 0 else
                      'a negative size' if member.size < 0 else
                      'a link or device' if not (member.isfile() or member.isdir())
                      or member.issparse() else '')
            if reason:
                raise BadArchive(f'{archive} has {reason}, {_short(member.name)}; it was not '
                                 'unpacked')
            yield member, tar.extractfile(member)
        # tarfile takes a damaged header for the end of the archive. Reading to the end finds
        # what follows it and makes gzip compare its checksum.
        while tar.fileobj and (rest := tar.fileobj.read(1 << 20)):
            left -= len(rest)
            if rest.strip(b'\0') or left < 0:
                raise tarfile.ReadError("a header can't be read")


def is_archive(path: Path) -> bool:
    """Return whether a file begins like a tar archive, compressed or not."""
    try:
        with tarfile.open(path, tarinfo=_CheckedHeader):
            return True
    except BadArchive:
        raise
    except (*_DAMAGED, OSError):
        return False


@contextmanager
def naming_damage(archive: Path) -> Iterator[None]:
    """Turn what tarfile and its decompressors raise for a damaged archive into BadArchive."""
    try:
        yield
    except _DAMAGED as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno is not None or isinstance(error, BadArchive):
            raise
        raise _damaged(archive, error) from error  # of a decompressor


class _CheckedHeader(tarfile.TarInfo):
    """A header that refuses long names and attributes before tarfile reads them."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _WITH_TEXT and not 0 <= header.size <= _MAX_TEXT:
            raise BadArchive(f'an entry of the archive has a name or attributes of {header.size:,} '
                             f'bytes, more than {_MAX_TEXT:,}; it was not unpacked')
        return header


def _write(archive: Path, folder: Path) -> int:
    tops, count = set(), 0
    most_bytes = _MAX_EXPANSION * archive.stat().st_size + _ALWAYS_ALLOWED
    with naming_damage(archive):
        for member, content in read_members(archive, _MAX_MEMBERS, most_bytes):
            top, path = _checked(archive, member)
            tops.add(top)
            if len(tops) > 1:
                raise BadArchive(f'{archive} has more than one top folder; it was not unpacked')
            if content is None:
                continue
            target = folder / path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, 'xb') as file:
                    shutil.copyfileobj(content, file)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise _damaged(archive, error) from error
            count += 1
    return count


def _damaged(archive: Path, error: Exception) -> BadArchive:
    return BadArchive(f'{archive} is truncated or damaged ({error}); copy or download it again')


def _checked(archive: Path, member: tarfile.TarInfo) -> tuple[str, Path]:
    """Return the top folder of an archive's member, and the member's path below it."""
    name = PurePosixPath(member.name)
    leads_out = name.is_absolute() or '..' in name.parts or '\\' in member.name \
        or ':' in member.name
    is_loose = len(name.parts) < 2 and not member.isdir()
    if leads_out or is_loose or not name.parts:
        reason = ('a name that leads out of its folder' if leads_out
                  else 'a file outside its top folder')
        raise BadArchive(f'{archive} has {reason}, {_short(member.name)}; it was not unpacked')
    return name.parts[0], Path(*name.parts[1:])


def _short(name: str) -> str:
    return repr(name if len(name) < 200 else f'{name[:200]}...')

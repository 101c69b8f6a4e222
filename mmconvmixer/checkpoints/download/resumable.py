"""Downloading to a file, over breaks in the line and ends of the process."""
import io
from pathlib import Path

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints.download.http import download
from mmconvmixer.checkpoints.hashes import matches_hash, sha256_of
from mmconvmixer.errors import HashMismatch


def download_file(url: str, target: Path, promised: str) -> None:
    """Download `url` to `target`, going on with what an earlier call has of it.

    What is there so far is beside the target, `.<name>.part`, with a note of
    address and version. It stays after a break or a kill, if it is of use: if
    the hash of the whole or the version of the server's file vouches for it.

    Args:
        url: http(s).
        target: the file; the caller sees to it that nobody else writes it.
        promised: prefix of its sha256, '' where nobody knows it.

    Raises:
        DownloadError: not reachable, refused, or broken off again and again.
        HashMismatch: the file is not the promised one; it is not kept.
        OutputNotWritable: the folder is read-only, full or no folder.
    """
    with atomic_write(target, resumable=True) as part:
        note = part.with_name(f'{part.name}.from')
        # The process may have ended between the last byte and the name.
        complete = bool(promised) and matches_hash(part, promised)
        for _ in range(2):
            if complete:
                break
            resumed = _complete(part, note, url, bool(promised))
            complete = matches_hash(part, promised)
            if not complete:
                digest = sha256_of(part)
                part.unlink()
                if not resumed:
                    break
                # Its parts need not be of one file: once more, from the start.
        note.unlink(missing_ok=True)
        if not complete:
            raise HashMismatch(f'{url} gave a file with sha256 {digest[:8]}, but its name '
                               f'or the model index promises {promised}; it was not kept. Try '
                               'again, or ask who serves it')


def _complete(part: Path, note: Path, url: str, checked: bool) -> bool:
    """Fetch what is missing; return whether the whole came in several answers."""
    version = _noted_version(note, url)
    useful = version or checked
    start = part.stat().st_size if useful and part.is_file() else 0
    resumed = False
    try:
        with open(part, 'ab') as file:
            for piece in download(url, start, version, checked):
                if file.seek(0, io.SEEK_END) != piece.offset:
                    file.truncate(piece.offset)
                if not piece.data:  # a new answer
                    note.write_text(f'{url}\n{piece.version}')
                    useful = piece.version or checked
                    resumed = piece.resumed
                file.write(piece.data)
    except BaseException:
        if not useful or not part.is_file() or not part.stat().st_size:
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
        raise
    return resumed


def _noted_version(note: Path, url: str) -> str:
    try:
        noted_url, version = note.read_text().split('\n')
    except (FileNotFoundError, ValueError):  # no note, or a note cut short
        return ''
    return version if noted_url == url else ''

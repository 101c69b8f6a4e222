"""Download to a file, so that an interrupted download can be resumed by a later process."""
import io
from pathlib import Path

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints.download.http import download
from mmconvmixer.checkpoints.hashes import matches_hash, sha256_of
from mmconvmixer.errors import HashMismatch


def download_file(url: str, target: Path, promised: str) -> None:
    """Download `url` to `target`, continuing what an earlier call has downloaded.

    The data so far is beside the target in `.<name>.part`, with the URL and version in a
    note. It is kept after an interruption if a later call can use it: if the hash of the
    file is known, or the server's version of it.

    Args:
        url: http(s).
        target: the file. The caller makes sure that no other process writes it.
        promised: prefix of its sha256, '' if it is unknown.

    Raises:
        DownloadError, HashMismatch, OutputNotWritable: see `download.fetch.fetch`.
    """
    with atomic_write(target, resumable=True) as part:
        note = part.with_name(f'{part.name}.from')
        # An earlier process may have ended after the last byte but before the renaming.
        complete = bool(promised) and matches_hash(part, promised)
        digest = ''
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
                # The parts may come from different files: download it once more from the start.
        note.unlink(missing_ok=True)
        if not complete:
            raise HashMismatch(f'{url} gave a file with sha256 {digest[:8]}, but its name '
                               f'or the model index promises {promised}; it was not kept. Try '
                               'again, or ask the owner of the host')


def _complete(part: Path, note: Path, url: str, checked: bool) -> bool:
    """Download the missing rest; return whether the file consists of several responses."""
    version = _noted_version(note, url)
    useful = version or checked
    start = part.stat().st_size if useful and part.is_file() else 0
    resumed = False
    try:
        with open(part, 'ab') as file:
            for piece in download(url, start, version, checked):
                if file.seek(0, io.SEEK_END) != piece.offset:
                    file.truncate(piece.offset)
                if not piece.data:  # a new response
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
    except (FileNotFoundError, ValueError):  # no note, or an incomplete one
        return ''
    return version if noted_url == url else ''

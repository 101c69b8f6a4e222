"""Bytes from an address, over breaks in the line, with an end to waiting."""
import http.client
import random
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from mmconvmixer._support.progress import Progress
from mmconvmixer.errors import DownloadError

TIMEOUT = 30  # seconds without a byte
TRIES = 5  # in a row that bring nothing new
BACKOFF = 1.  # seconds before the second try; doubled for each that follows
LONGEST_WAIT = 60.  # seconds between two tries, also where a server asks for more
_CHUNK = 1 << 20


class Piece(NamedTuple):
    """Bytes and the place they belong to; what was there, and after it, is void."""
    offset: int
    data: bytes
    version: str  # the ETag or date by which the server knows this very file; may be ''
    resumed: bool  # from an answer that goes on where an earlier one ended


def is_url(text: str) -> bool:
    return text.startswith(('http://', 'https://'))


def download(url: str, start: int = 0, version: str = '', checked: bool = False
             ) -> Iterator[Piece]:
    """Yield what an http(s) address has, piece by piece, saying how far it is.

    A transfer that breaks off or stalls goes on where it ended, if the server
    can do that, else from the start: then a piece has offset 0 again. Each
    answer of the server begins with a piece without data. An address that
    never answered is given up at once: it is wrong, or there is no network.

    Args:
        url: what to download.
        start: how many bytes the caller has already.
        version: of the piece that these bytes came with.
        checked: the caller compares the whole with a hash, so bytes may follow
            others even where no version says that they are of one file.

    Raises:
        DownloadError: no address, not reachable, refused, silent or broken
            off, several times where that may help.
    """
    done = furthest = start
    failures, answered = 0, False
    while True:
        try:
            with _open(url, done, version) as response:
                answered = True
                resumed = response.status == 206
                if resumed and not _goes_on(response, done, version):
                    done, version = 0, ''
                    raise ConnectionError('the server went on with another file')
                done = done if resumed else 0
                version = _version(response)
                length = response.headers.get('Content-Length')
                total = None if length is None else done + int(length)
                yield Piece(done, b'', version, resumed)
                progress = Progress(f'downloading {url}', total or 0, 'bytes', done=done)
                # Not `read`: it waits for a whole chunk, and loses what came of it.
                while chunk := response.read1(
                        _CHUNK if total is None else min(_CHUNK, total - done)):
                    done += len(chunk)
                    yield Piece(done - len(chunk), chunk, version, resumed)
                    progress.update(done)
                if total is None or done == total:
                    return
                raise ConnectionError(f'broke off after {done} of {total} bytes')
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = ' '.join(str(getattr(error, 'reason', None) or error).split())
            status = getattr(error, 'code', None)
            beyond_end = status == 416 and done > 0
            failures = 1 if done > furthest else failures + 1
            furthest = max(furthest, done)
            if failures >= TRIES or not (beyond_end or _may_pass(error, answered)):
                raise DownloadError(
                    f'{url} could not be downloaded: {reason}. Check the address and the '
                    'network, or give the path of a copy') from error
            if beyond_end or not (version or checked):
                done, version = 0, ''
            wait = _wait(error, failures)
        print(f'downloading {url}: {reason}; trying again in {wait:.3g} s', file=sys.stderr,
              flush=True)
        time.sleep(wait)


def _open(url: str, start: int, version: str):
    request = urllib.request.Request(url)
    if start:
        request.add_header('Range', f'bytes={start}-')
        if version:
            request.add_header('If-Range', version)
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _version(response: http.client.HTTPResponse) -> str:
    """Return what If-Range takes; a weak ETag is none, it allows other bytes."""
    tag = response.headers.get('ETag', '')
    return tag if tag.startswith('"') else response.headers.get('Last-Modified', '')


def _goes_on(response: http.client.HTTPResponse, start: int, version: str) -> bool:
    """Whether a partial answer is what was asked for: not all servers know If-Range."""
    begins = response.headers.get('Content-Range', '').startswith(f'bytes {start}-')
    return begins and (not version or _version(response) in ('', version))


def _may_pass(error: Exception, answered: bool) -> bool:
    """Whether a failure is one that time may cure."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code == 429 or error.code >= 500
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.timeout | ConnectionResetError):
        return True
    # A blank in the address or a certificate that is not valid is a ValueError.
    if isinstance(cause, str | ValueError | http.client.InvalidURL):
        return False
    return answered or not isinstance(error, urllib.error.URLError)


def _wait(error: Exception, failures: int) -> float:
    """Return the seconds until the next try, at random so that not all come at once."""
    wait = BACKOFF * 2 ** (failures - 1) * random.uniform(0.5, 1.5)
    if isinstance(error, urllib.error.HTTPError):
        wait = max(wait, _seconds(error.headers.get('Retry-After', '')))
    return min(wait, LONGEST_WAIT)


def _seconds(retry_after: str) -> float:
    """Return the seconds from now that a Retry-After means, a number or a date."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return 0.

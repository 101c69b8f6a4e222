"""Download bytes over HTTP: resume interrupted transfers, retry, and give up in the end."""
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

TIMEOUT = 30  # seconds without any data
TRIES = 5  # attempts in a row without new data
BACKOFF = 1.  # seconds before the second attempt; doubles with each further one
LONGEST_WAIT = 60.  # seconds between two attempts, even if a server asks for more
_CHUNK = 1 << 20


class Piece(NamedTuple):
    """Bytes of the file from `offset` on. Earlier data at and after that offset is invalid."""
    offset: int
    data: bytes
    version: str  # the server's ETag or date for this version of the file; may be ''
    resumed: bool  # whether the response continues an earlier one


def is_url(text: str) -> bool:
    """Whether a text begins like an http(s) URL."""
    return text.startswith(('http://', 'https://'))


def download(url: str, start: int = 0, version: str = '', checked: bool = False
             ) -> Iterator[Piece]:
    """Yield the content of a URL piece by piece, and report the progress.

    A transfer that breaks off or stalls continues where it ended if the server supports
    that, otherwise from the start: then a piece has offset 0 again. Each response begins
    with an empty piece. A host that never answered is not asked again: the URL is
    wrong, or there is no network.

    Args:
        url: http(s).
        start: the number of bytes that the caller already has.
        version: the version of the piece that these bytes came from.
        checked: whether the caller checks a hash of the whole file. Then a transfer may
            continue even if no version shows that the file is still the same.

    Raises:
        DownloadError: the URL is invalid, or its host can't be reached, refuses, stalls or
            breaks off, even after retries where they may help.
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
                    raise ConnectionError('the server continued with a different file')
                done = done if resumed else 0
                version = _version(response)
                length = response.headers.get('Content-Length')
                total = None if length is None else done + int(length)
                yield Piece(done, b'', version, resumed)
                progress = Progress(f'downloading {url}', total or 0, 'bytes', done=done)
                # Not `read`, which waits for a whole chunk and loses a partial one on an error.
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
                    f'{url} could not be downloaded: {reason}. Check the URL and the network, '
                    'or give the path of a copy') from error
            if beyond_end or not (version or checked):
                done, version = 0, ''
            wait = _wait(error, failures)
        print(f'downloading {url}: {reason}; trying again in {wait:.3g} s', file=sys.stderr,
              flush=True)
        time.sleep(wait)


def _open(url: str, start: int, version: str) -> http.client.HTTPResponse:
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
    """Return the value for If-Range. Not a weak ETag, which different bytes may share."""
    tag = response.headers.get('ETag', '')
    return tag if tag.startswith('"') else response.headers.get('Last-Modified', '')


def _goes_on(response: http.client.HTTPResponse, start: int, version: str) -> bool:
    """Whether a partial response continues the same file: not all servers know If-Range."""
    begins = response.headers.get('Content-Range', '').startswith(f'bytes {start}-')
    return begins and (not version or _version(response) in ('', version))


def _may_pass(error: Exception, answered: bool) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code == 429 or error.code >= 500
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.timeout | ConnectionResetError):
        return True
    # A blank in the URL and an invalid certificate are ValueErrors.
    if isinstance(cause, str | ValueError | http.client.InvalidURL):
        return False
    return answered or not isinstance(error, urllib.error.URLError)


def _wait(error: Exception, failures: int) -> float:
    """Return the seconds until the next attempt, randomized so that clients spread out."""
    wait = BACKOFF * 2 ** (failures - 1) * random.uniform(0.5, 1.5)
    if isinstance(error, urllib.error.HTTPError):
        wait = max(wait, _seconds(error.headers.get('Retry-After', '')))
    return min(wait, LONGEST_WAIT)


def _seconds(retry_after: str) -> float:
    """Return the seconds that a Retry-After header asks for, as a number or a date."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return 0.

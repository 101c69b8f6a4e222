"""Bytes from an address, with an end to waiting."""
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator

from mmconvmixer.errors import DownloadError
from mmconvmixer.progress import Progress

TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 20


def download(url: str) -> Iterator[bytes]:
    """Yield what an http(s) address has, in pieces, saying how far it is.

    Raises:
        DownloadError: no address, not reachable, refused, silent or broken off.
    """
    done = total = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            total = int(response.headers.get('Content-Length') or 0)
            progress = Progress(f'downloading {url}', total, 'bytes')
            while chunk := response.read(_CHUNK):
                yield chunk
                done += len(chunk)
                progress.update(done)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = ' '.join(str(getattr(error, 'reason', None) or error).split())
        raise DownloadError(f'{url} could not be downloaded: {reason}. Check the address and '
                            'the network, or give the path of a copy') from error
    if total and done != total:
        raise DownloadError(f'{url} broke off after {done} of {total} bytes; try again')

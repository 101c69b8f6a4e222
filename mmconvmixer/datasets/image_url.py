"""Fetch an image from a URL that a stranger may have chosen: bounded in every way.

Unlike the downloads of weights, nothing is retried and nothing is resumed: somebody waits for the
answer. The size, the total time and the number of redirects are limited, a redirect keeps the
scheme, and only public addresses are asked unless the caller allows others.
"""
import http.client
import ipaddress
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Timer
from typing import IO, Any

from mmconvmixer.errors import BadImage

MAX_BYTES = 100_000_000
SECONDS = 60.  # in all, redirects included
REDIRECTS = 5

_NAT64 = ipaddress.IPv6Network('64:ff9b::/96')


def is_url(text: str) -> bool:
    """Return whether a text begins like an http(s) URL, in either case."""
    return text[:8].lower().startswith(('http://', 'https://'))


def fetch_image(url: str, max_bytes: int = MAX_BYTES, allow_private: bool = False) -> bytes:
    """Return the content of a URL.

    Args:
        url: http(s).
        max_bytes: the most that is read.
        allow_private: whether addresses of this machine and of private networks may be asked.

    Raises:
        BadImage: the URL is invalid or not allowed, or its content is too large, too slow,
            or not to be had.
    """
    asked = _Asked(allow_private)
    opener = urllib.request.build_opener(_KeepScheme, _Handler(asked))
    try:
        with opener.open(url, timeout=SECONDS) as response:
            content = _content(response, max_bytes, asked)
        asked.check_time()  # a connection that was cut off looks like the end
        return content
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            reason = f'the server answers {error.code} {error.reason}'
        if isinstance(reason, BadImage):
            reason = str(reason)
        elif asked.is_late():
            reason = f'it took longer than {SECONDS:g} s'
        raise BadImage(f"can't be fetched: {' '.join(str(reason).split())}") from error
    finally:
        asked.stop()


def _content(response: http.client.HTTPResponse, max_bytes: int, asked: '_Asked') -> bytes:
    too_large = BadImage(f'it has more than {max_bytes:,} bytes, the limit; set max_url_bytes')
    length = response.headers.get('Content-Length', '')
    if length.isdecimal() and int(length) > max_bytes:
        raise too_large
    content = bytearray()
    while piece := response.read1(1 << 16):
        content += piece
        asked.check_time()
        if len(content) > max_bytes:
            raise too_large
    if length.isdecimal() and len(content) < int(length):
        raise ConnectionError(f'it broke off after {len(content)} of {length} bytes')
    return bytes(content)


class _KeepScheme(urllib.request.HTTPRedirectHandler):
    """Follow few redirects, and none to another scheme."""

    max_redirections = REDIRECTS
    max_repeats = 2

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
                         headers: http.client.HTTPMessage, newurl: str
                         ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme.lower() != req.type.lower():
            raise BadImage(f'it is redirected to another scheme, {newurl[:200]}; give that URL '
                           'itself if you trust it')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Asked:
    """The connections of one fetch: to allowed addresses only, and cut off when time is up."""

    def __init__(self, allow_private: bool) -> None:
        self.allow_private = allow_private
        self.deadline = time.monotonic() + SECONDS
        self.timers: list[tuple[Timer, socket.socket]] = []

    def is_late(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() >= self.deadline

    def check_time(self) -> None:
        """Raise TimeoutError if the time is up."""
        if self.is_late():
            raise TimeoutError

    def check(self, host: str, address: str) -> None:
        """Refuse an address that is not public, unless such are allowed."""
        if not (self.allow_private or _is_public(address)):
            raise BadImage(f'{host} is at {address}, which is not a public address; to ask such '
                           'addresses, set allow_private_urls (--allow-private-urls)')

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to a host.

        The addresses that are checked are those that are asked: a second look-up of the name
        could have another result.
        """
        failed = OSError(f'{host} has no address')
        for family, kind, protocol, _, found in socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM):
            self.check(host, str(found[0]))
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(max(self.deadline - time.monotonic(), 0.001))
                connection.connect(found)
            except OSError as error:
                connection.close()
                failed = error
                continue
            self._cut_off_later(connection)
            return connection
        raise failed

    def _cut_off_later(self, connection: socket.socket) -> None:
        # The timeout of a socket is for each piece of data: a server that sends a byte now and
        # then never meets it. The duplicate stays valid when TLS wraps the original.
        duplicate = connection.dup()
        timer = Timer(self.deadline - time.monotonic(), _shut_down, [duplicate])
        timer.daemon = True
        timer.start()
        self.timers.append((timer, duplicate))

    def stop(self) -> None:
        """Stop the clocks."""
        for timer, duplicate in self.timers:
            timer.cancel()
            duplicate.close()


class _Connection(http.client.HTTPConnection):
    """A connection to a checked address."""

    def __init__(self, asked: _Asked, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked = asked

    def connect(self) -> None:
        self.sock = self.asked.connect(self.host, self.port)


class _SecureConnection(http.client.HTTPSConnection):
    """A connection to a checked address, by TLS."""

    def __init__(self, asked: _Asked, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked = asked

    def connect(self) -> None:
        self.sock = ssl.create_default_context().wrap_socket(
            self.asked.connect(self.host, self.port), server_hostname=self.host)


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Open http and https with the connections of one fetch."""

    def __init__(self, asked: _Asked) -> None:
        urllib.request.HTTPSHandler.__init__(self)
        self.asked = asked

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(
            self._maker(http.client.HTTPConnection, _Connection, req), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._maker(
            http.client.HTTPSConnection, _SecureConnection, req), req)

    def _maker(self, plain: type, checked: type, request: urllib.request.Request) -> Callable:
        target = urllib.parse.urlsplit(request.full_url)
        if request.host == target.netloc:
            return partial(checked, self.asked)
        # A proxy is the user's own, and may be anywhere. Only it may know the name.
        with suppress(OSError):
            for *_, found in socket.getaddrinfo(target.hostname, None):
                self.asked.check(str(target.hostname), str(found[0]))
        return plain


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # closed by the other side
        connection.shutdown(socket.SHUT_RDWR)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    meant = [address]
    if isinstance(address, ipaddress.IPv6Address):  # some stand for an address of IPv4
        meant += [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            meant.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return all(each.is_global and not each.is_multicast for each in meant if each is not None)

"""The warnings in the log, and a web server with scripted responses."""
import http.server
import logging
import threading
import time
from dataclasses import dataclass, field

import pytest
from mmengine import MMLogger

import mmconvmixer.checkpoints.download.http


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch):
    monkeypatch.setattr(mmconvmixer.checkpoints.download.http, 'BACKOFF', 0.01)


@dataclass
class Answer:
    """The server's response to one request."""
    content: bytes | range = b''  # a range: megabytes that are generated as they are sent
    cut: int | None = None  # bytes after which the connection breaks
    stall: bool = False  # go silent instead of breaking
    pace: float = 0.  # seconds per megabyte
    status: int = 200
    headers: dict = field(default_factory=lambda: {'ETag': '"1"'})
    ranges: bool = True
    if_range: bool = True

    def __len__(self) -> int:
        return len(self.content) << 20 if isinstance(self.content, range) else len(self.content)

    def pieces(self, start: int):
        if isinstance(self.content, bytes):
            yield self.content[start:]
            return
        for number in self.content[start >> 20:]:
            yield megabyte(number)[start & 0xfffff if number == start >> 20 else 0:]


def megabyte(number: int) -> bytes:
    return number.to_bytes(4, 'little') * (1 << 18)


class Handler(http.server.BaseHTTPRequestHandler):

    def do_GET(self):
        host = self.server.host
        with host.lock:
            host.requests.append(dict(self.headers, path=self.path))
            answer = host.answers.pop(0) if len(host.answers) > 1 else host.answers[0]
        if answer.status != 200:
            self.start(answer.status, 0, answer.headers)
            return
        start = self.asked_start(answer)
        headers = dict(answer.headers)
        if start is None:
            start = 0
            self.start(200, len(answer), headers)
        elif start >= len(answer):
            self.start(416, 0, {**headers, 'Content-Range': f'bytes */{len(answer)}'})
            return
        else:
            headers['Content-Range'] = f'bytes {start}-{len(answer) - 1}/{len(answer)}'
            self.start(206, len(answer) - start, headers)
        self.send_body(answer, start)

    def asked_start(self, answer):
        if not answer.ranges or 'Range' not in self.headers:
            return None
        wanted = self.headers.get('If-Range')
        if answer.if_range and wanted and wanted not in answer.headers.values():
            return None
        return int(self.headers['Range'].removeprefix('bytes=').removesuffix('-'))

    def start(self, status, length, headers):
        self.send_response(status)
        self.send_header('Content-Length', str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_body(self, answer, start):
        host, left = self.server.host, answer.cut
        for piece in answer.pieces(start):
            if left is not None:
                piece, left = piece[:left], left - len(piece[:left])
            # Before it is sent: once the client has it, the test goes on.
            with host.lock:
                host.sent += len(piece)
            try:
                self.wfile.write(piece)
            except ConnectionError:  # the other process was killed
                with host.lock:
                    host.sent -= len(piece)
                return
            time.sleep(answer.pace)
            if left == 0:
                break
        if answer.stall:
            host.end.wait(60)

    def log_message(self, *args):
        pass


class Host:
    """Set `answers`, of which the last repeats; it records `requests` and the bytes `sent`."""

    def __init__(self, url):
        self.url, self.answers, self.requests, self.sent = url, [], [], 0
        self.lock, self.end = threading.Lock(), threading.Event()

    def asked(self, header: str) -> list:
        return [request.get(header) for request in self.requests]


def serve():
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as serving:
        host = serving.host = Host(f'http://127.0.0.1:{serving.server_port}')
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield host
        host.end.set()
        serving.shutdown()


@pytest.fixture
def host():
    yield from serve()


@pytest.fixture
def mirror_host():
    yield from serve()


@pytest.fixture
def answer():
    return Answer


@pytest.fixture(scope='session')
def megabytes():
    return megabyte


@pytest.fixture
def warned():
    """The warnings that were logged."""
    messages = []

    class Keep(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)

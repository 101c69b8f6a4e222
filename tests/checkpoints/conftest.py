"""A comparison with other libraries, the warnings in the log, and a web server with a script."""
import http.server
import logging
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from mmengine import MMLogger
from sklearn.datasets import load_sample_images

import mmconvmixer.checkpoints.download.http
from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import ConvMixerShape, read_architecture


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


@pytest.fixture(scope='session')
def crops():
    """Eight crops of two photographs, normalized: (8, 3, 64, 64)."""
    crops = [photograph[top:top + 256:4, left:left + 256:4]
             for photograph in load_sample_images().images
             for top, left in ((0, 0), (0, 300), (150, 60), (160, 380))]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).double() / 127.5 - 1


def read_network(path):
    """Build the network that the tensors of a file describe, and load them in float64."""
    weights = state_dict_of(read_checkpoint(path), str(path))
    shape = read_architecture(weights)
    arch = vars(shape).copy()
    classes = arch.pop('num_classes')
    if isinstance(shape, ConvMixerShape):
        backbone = dict(type='ConvMixer', in_channels=arch.pop('in_channels'), arch=arch,
                        act_cfg=dict(type='GELU'))
    else:
        image_size, patch_size = arch.pop('image_size'), arch.pop('patch_size')
        arch['num_layers'] = arch.pop('depth')
        backbone = dict(type='MlpMixer', arch=arch, img_size=image_size, patch_size=patch_size)
    model = build_model(dict(
        type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling', dim=(
            2 if isinstance(shape, ConvMixerShape) else 1)),
        head=classes and dict(type='LinearClsHead', num_classes=classes,
                              in_channels=shape.embed_dims))).double()
    load_weights(model, weights, str(path))
    return model.eval()


@pytest.fixture
def same_outputs():
    """Check that the network in a file gives the expected logits, or features without a head.

    They may differ by 1e-5 of the largest; `pytest -rP` shows by how much they do.
    """
    @torch.no_grad()
    def check(path, images, expected, change=lambda model: None):
        model = read_network(path)
        change(model)
        got = model(images) if model.head else model.extract_feat(images)[-1]
        assert expected.std() > 1e-2  # the outputs differ
        difference = float((got - expected).abs().max() / expected.abs().max())
        print(f'{path.name}: the largest difference is {difference:.1e} of the largest output')
        assert difference <= 1e-5
    return check

import contextlib
import hashlib
import http.server
import socket
import threading
from types import SimpleNamespace

import pytest
import torch

from mmconvmixer.checkpoints import fetch
from mmconvmixer.errors import DownloadError, HashMismatch

CONTENT = bytes(range(256)) * 20
DIGEST = hashlib.sha256(CONTENT).hexdigest()
GOOD = f'net-{DIGEST[:8]}.pth'


class Handler(http.server.BaseHTTPRequestHandler):
    """Responds according to the first part of the path."""

    def do_GET(self):
        self.server.asked.append(self.path)
        getattr(self, self.path.split('/')[1] or 'ok')()

    def ok(self, content=CONTENT, length=None):
        self.send_response(200)
        self.send_header('Content-Length', str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def other(self):
        self.ok(CONTENT[::-1])

    def cut(self):
        self.ok(CONTENT[:100], length=len(CONTENT))

    def cut_chunk(self):
        self.protocol_version = 'HTTP/1.1'
        self.send_response(200)
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        self.wfile.write(b'FF\r\nonly this')
        self.close_connection = True

    def unmeasured(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def moved(self):
        self.send_response(302)
        self.send_header('Location', self.path.replace('/moved/', '/ok/'))
        self.end_headers()

    def circle(self):
        self.send_response(302)
        self.send_header('Location', self.path)
        self.end_headers()

    def missing(self):
        self.send_error(404)

    def broken(self):
        self.send_error(503)

    def silent(self):
        pass

    def gibberish(self):
        self.wfile.write(b'SSH-2.0-OpenSSH\r\n')

    def log_message(self, *args):
        pass


@pytest.fixture(scope='module')
def server():
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as serving:
        serving.asked = []
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield SimpleNamespace(url=f'http://127.0.0.1:{serving.server_port}',
                              asked=serving.asked)
        serving.shutdown()


@pytest.fixture
def asked(server):
    server.asked.clear()
    return server.asked


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('way', ['ok', 'unmeasured', 'moved'])
@pytest.mark.parametrize('name', [
    GOOD, f'net-{DIGEST}.pth', 'net.pth', 'a%20net.pth', GOOD + '?token=1'])
def test_a_file_is_downloaded_completely(server, tmp_path, way, name):
    path = fetch(f'{server.url}/{way}/{name}', tmp_path / 'new folder')
    # Without a hash in its name, the file has a folder for its URL.
    folder = path.parent if name.startswith('net-') else path.parent.parent
    assert folder == tmp_path / 'new folder'
    assert path.name == name.replace('%20', ' ').split('?')[0]
    assert contents(tmp_path) == {path.name: CONTENT}


def test_without_a_folder_copies_are_kept_where_torch_hub_keeps_them(server):
    path = fetch(f'{server.url}/ok/{GOOD}')
    assert str(path.parent).startswith(torch.hub.get_dir())
    assert path.read_bytes() == CONTENT


def test_an_existing_copy_is_not_downloaded_again(server, asked, tmp_path):
    first = fetch(f'{server.url}/ok/{GOOD}', tmp_path)
    assert fetch(f'{server.url}/ok/{GOOD}', tmp_path) == first
    assert len(asked) == 1


@pytest.mark.parametrize('damage', [CONTENT[:-1], b'', CONTENT[:-1] + b'?'])
def test_a_damaged_copy_is_replaced(server, tmp_path, damage):
    (tmp_path / GOOD).write_bytes(damage)
    assert fetch(f'{server.url}/ok/{GOOD}', tmp_path).read_bytes() == CONTENT
    assert list(contents(tmp_path)) == [GOOD]


def test_a_copy_with_the_right_hash_needs_no_network(tmp_path):
    (tmp_path / GOOD).write_bytes(CONTENT)
    assert fetch(f'http://127.0.0.1:1/{GOOD}', tmp_path) == tmp_path / GOOD


def test_two_addresses_with_one_file_name_are_two_files(server, tmp_path):
    """Every training run has an epoch_1.pth."""
    first = fetch(f'{server.url}/ok/epoch_1.pth', tmp_path).read_bytes()
    second = fetch(f'{server.url}/other/epoch_1.pth', tmp_path).read_bytes()
    assert (first, second) == (CONTENT, CONTENT[::-1])


def test_a_file_that_is_not_the_promised_one_is_not_kept(server, tmp_path):
    url = f'{server.url}/other/{GOOD}'
    with pytest.raises(HashMismatch, match=f'promises {DIGEST[:8]}') as caught:
        fetch(url, tmp_path)
    assert url in str(caught.value)
    assert hashlib.sha256(CONTENT[::-1]).hexdigest()[:8] in str(caught.value)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize('way, reason', [
    ('missing', 'Not Found'), ('broken', 'Service Unavailable'), ('circle', ''),
    ('cut', f'after 100 of {len(CONTENT)} bytes'), ('cut_chunk', ''), ('silent', ''),
    ('gibberish', '')])
@pytest.mark.parametrize('name', ['net.pth', GOOD])
def test_a_failed_download_names_address_and_reason_and_leaves_no_file(
        server, tmp_path, way, reason, name):
    url = f'{server.url}/{way}/{name}'
    with pytest.raises(DownloadError) as caught:
        fetch(url, tmp_path)
    message = str(caught.value)
    assert url in message and reason in message and '\n' not in message.strip()
    assert isinstance(caught.value, ConnectionError)
    left = contents(tmp_path)
    if name == GOOD and way in ('cut', 'cut_chunk'):  # it can be resumed, as its hash is known
        assert CONTENT.startswith(left.pop(f'.{name}.part')) or way == 'cut_chunk'
        del left[f'.{name}.part.from']
    assert left == {}


def closed_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize('url', [
    f'http://127.0.0.1:{closed_port()}/net.pth', 'http://127.0.0.1:port/net.pth',
    'http://127.0.0.1:99999/net.pth', 'http:///net.pth', 'http://127.0.0.1:1/a net.pth',
    'http://[::1/net.pth'],
    ids=['refused', 'no port', 'port too high', 'no host', 'a blank', 'half a bracket'])
def test_an_address_that_leads_nowhere_is_a_download_error(tmp_path, url):
    with pytest.raises(DownloadError) as caught:
        fetch(url, tmp_path)
    assert url in str(caught.value)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize('end', ['', '/', '/?token=1'])
def test_an_address_without_a_file_name_is_a_download_error(server, tmp_path, end):
    with pytest.raises(DownloadError):
        fetch(server.url + end, tmp_path / 'folder')
    assert contents(tmp_path) == {}


def test_a_damaged_copy_is_not_used_when_the_network_is_down(tmp_path):
    (tmp_path / GOOD).write_bytes(b'damaged')
    with pytest.raises(DownloadError):
        fetch(f'http://127.0.0.1:{closed_port()}/{GOOD}', tmp_path)


def test_no_address_writes_outside_the_folder(server, tmp_path):
    folder = tmp_path / 'folder'
    folder.mkdir()
    with contextlib.suppress(DownloadError):  # an error is fine, and so is a file in the folder
        fetch(f'{server.url}/ok/%2e%2e%2fescaped.pth', folder)
    assert not (tmp_path / 'escaped.pth').exists()

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mmconvmixer.datasets import image_url
from mmconvmixer.datasets.image_url import fetch_image, is_url
from mmconvmixer.errors import BadImage


class Handler(BaseHTTPRequestHandler):
    """Answer by path, and count the requests."""

    def do_GET(self):
        self.server.asked.append(self.path)
        act = getattr(self, self.path.strip('/').partition('/')[0])
        act()

    def fine(self):
        self.send_response(200)
        self.send_header('Content-Length', '1000')
        self.end_headers()
        self.wfile.write(b'x' * 1000)

    def endless(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b'x' * 1000)
        except OSError:
            pass

    def slow(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b'x')
                time.sleep(0.05)
        except OSError:
            pass

    def slow_header(self):
        try:
            self.wfile.write(b'HTTP/1.0 200 OK\r\n')
            while True:
                self.wfile.write(b'X: y\r\n'[:1])
                time.sleep(0.05)
        except OSError:
            pass

    def short(self):
        self.send_response(200)
        self.send_header('Content-Length', '2000')
        self.end_headers()
        self.wfile.write(b'x' * 1000)

    def broken(self):
        self.send_error(500)

    def round(self):
        number = int(self.path.split('/')[-1])
        self.go(f'/round/{number - 1}' if number else '/fine')

    def file(self):
        self.go('file:///etc/hostname')

    def secure(self):
        self.go('https://127.0.0.1/x.png')

    def go(self, where):
        self.send_response(302)
        self.send_header('Location', where)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.asked = []
    server.url = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_url_is_one_in_either_case():
    assert is_url('http://host/a.png') and is_url('HTTPS://host/a.png')
    assert not is_url('httpd/a.png') and not is_url('s3://host/a.png')


def test_the_content_is_returned(server):
    assert fetch_image(f'{server.url}/fine', allow_private=True) == b'x' * 1000


@pytest.mark.parametrize('path', ['fine', 'endless'])
def test_no_more_than_the_limit_is_read(server, path):
    with pytest.raises(BadImage, match='more than 999 bytes, the limit; set max_url_bytes'):
        fetch_image(f'{server.url}/{path}', 999, allow_private=True)


@pytest.mark.parametrize('path', ['slow', 'slow_header'])
def test_the_time_is_limited_in_all_not_for_each_piece(server, path, monkeypatch):
    monkeypatch.setattr(image_url, 'SECONDS', 0.3)
    with pytest.raises(BadImage, match='took longer than 0.3 s'):
        fetch_image(f'{server.url}/{path}', allow_private=True)


def test_a_transfer_that_breaks_off_is_not_an_image(server):
    with pytest.raises(BadImage, match='1000 of 2000 bytes'):
        fetch_image(f'{server.url}/short', allow_private=True)


def test_an_error_of_the_server_is_not_tried_again(server):
    with pytest.raises(BadImage, match='answers 500'):
        fetch_image(f'{server.url}/broken', allow_private=True)
    assert server.asked == ['/broken']


def test_redirects_are_followed_up_to_five(server):
    assert len(fetch_image(f'{server.url}/round/4', allow_private=True)) == 1000
    with pytest.raises(BadImage, match='redirect'):
        fetch_image(f'{server.url}/round/9', allow_private=True)
    assert len(server.asked) < 13


@pytest.mark.parametrize('path, said', [
    ('file', "url 'file:///etc/hostname' is not allowed"),
    ('secure', 'redirected to another scheme, https://127.0.0.1/x.png')])
def test_a_redirect_to_another_scheme_is_refused(server, path, said):
    with pytest.raises(BadImage, match=said):
        fetch_image(f'{server.url}/{path}', allow_private=True)


@pytest.mark.parametrize('host', ['127.0.0.1', 'localhost', '2130706433', '[::1]', '0.0.0.0',
                                  '[::ffff:127.0.0.1]', '169.254.169.254', '10.0.0.1',
                                  '[64:ff9b::7f00:1]', '100.64.0.1', '224.0.0.1'])
def test_addresses_that_are_not_public_are_not_asked(host, monkeypatch):
    monkeypatch.setattr(socket.socket, 'connect', None)  # would be called to ask
    with pytest.raises(BadImage, match='not a public address; .* set allow_private_urls'):
        fetch_image(f'http://{host}:9/x.png')


def test_a_public_address_may_not_lead_to_a_private_one(server, monkeypatch):
    """The first host passes as public; its redirect does not."""
    public = iter([True])
    monkeypatch.setattr(image_url, '_is_public', lambda address: next(public, False))
    with pytest.raises(BadImage, match='not a public address'):
        fetch_image(f'{server.url}/round/3')
    assert server.asked == ['/round/3']


def test_a_private_target_is_refused_behind_a_proxy_too(server, monkeypatch):
    monkeypatch.setenv('http_proxy', server.url)
    monkeypatch.setenv('no_proxy', '')
    with pytest.raises(BadImage, match='10.0.0.1, which is not a public address'):
        fetch_image('http://10.0.0.1/x.png')
    assert server.asked == []


@pytest.mark.parametrize('url', ['http://', 'http://[', 'http://a b/x.png', 'http://host:x/y.png',
                                 'http://' + 'a' * 70 + '.invalid/x.png', 'http://h\udcff/x'])
def test_a_url_that_is_none_is_one_line(url):
    with pytest.raises(BadImage, match="can't be fetched"):
        fetch_image(url)

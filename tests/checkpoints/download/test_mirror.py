import hashlib
import shutil
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from mmconvmixer import get_model, zoo
from mmconvmixer.checkpoints import fetch
from mmconvmixer.checkpoints.download.mirror import VARIABLE
from mmconvmixer.errors import DownloadError, HashMismatch

CONTENT = bytes(range(256)) * 20
OTHER = CONTENT[::-1]
GOOD = f'a net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth'
NOWHERE = 'http://127.0.0.1:1/some/folder'


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / 'mirror'
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture
def mirror_url(mirror_host, monkeypatch):
    monkeypatch.setenv(VARIABLE, f'{mirror_host.url}/weights/')
    return mirror_host


@pytest.fixture
def cache(tmp_path):
    return tmp_path / 'cache'


@pytest.fixture
def said(capsys):
    MMLogger._instance_dict.clear()  # it holds the last test's closed stdout
    return lambda: ''.join(capsys.readouterr())


def url_of(host) -> str:
    return f'{host}/{GOOD}'.replace(' ', '%20')


@pytest.mark.parametrize('name, kept', [(GOOD, GOOD), ('net.pth', 'folder/net.pth')])
def test_a_file_in_a_mirror_folder_is_used_in_place_without_a_download(
        mirror, cache, said, name, kept):
    (mirror / 'folder').mkdir()
    (mirror / kept).write_bytes(CONTENT)
    assert fetch(f'{NOWHERE}/{name}'.replace(' ', '%20'), cache) == mirror / kept
    assert not cache.exists() and said() == ''


def test_files_of_one_name_without_a_hash_are_told_apart_by_their_folders(mirror, cache):
    for folder in ('sam', 'imagenet1k'):
        (mirror / folder).mkdir()
        (mirror / folder / 'Mixer-B_16.npz').write_text(folder)
    for folder in ('sam', 'imagenet1k'):
        found = fetch(f'http://127.0.0.1:1/mixer_models/{folder}/Mixer-B_16.npz', cache)
        assert found.read_text() == folder


def test_a_file_missing_in_the_folder_comes_from_the_host_without_a_warning(
        mirror, cache, host, answer, said):
    host.answers = [answer(CONTENT)]
    assert fetch(url_of(host.url), cache) == cache / GOOD
    assert list(mirror.iterdir()) == [] and said() == ''


def test_a_wrong_file_in_the_folder_is_not_used_with_a_warning(
        mirror, cache, host, answer, said):
    (mirror / GOOD).write_bytes(OTHER)
    host.answers = [answer(CONTENT)]
    assert fetch(url_of(host.url), cache).read_bytes() == CONTENT
    words = said()
    assert 'WARNING' in words and str(mirror / GOOD) in words and VARIABLE in words


def test_a_given_hash_is_checked_in_the_folder_too(mirror, cache, said):
    (mirror / 'net.pth').write_bytes(OTHER)
    with pytest.raises(DownloadError):
        fetch(f'{NOWHERE}/net.pth', cache, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert 'net.pth is not the file' in said()


def test_a_mirror_that_is_not_a_folder_is_a_warning(mirror, cache, host, answer, said):
    mirror.rmdir()
    host.answers = [answer(CONTENT)]
    assert fetch(url_of(host.url), cache) == cache / GOOD
    assert f'{mirror} is not a folder' in said()


def test_a_copy_in_the_cache_is_preferred_to_the_mirror(mirror, cache):
    cache.mkdir()
    for folder in (mirror, cache):
        (folder / GOOD).write_bytes(CONTENT)
    assert fetch(url_of(NOWHERE), cache) == cache / GOOD


def test_no_name_leads_out_of_the_folder(mirror, cache):
    (mirror.parent / 'secret.pth').write_bytes(CONTENT)
    with pytest.raises(DownloadError):
        fetch(f'{NOWHERE}/%2e%2e%2fsecret.pth', cache)


def test_a_mirror_with_a_url_is_asked_by_file_name_before_the_host(
        mirror_url, cache, host, answer, said):
    mirror_url.answers = [answer(CONTENT, cut=100), answer(CONTENT)]
    assert fetch(url_of(host.url), cache) == cache / GOOD
    assert mirror_url.asked('path') == 2 * [f'/weights/{GOOD}'.replace(' ', '%20')]
    assert host.requests == [] and 'WARNING' not in said()


@pytest.mark.parametrize('status', [404, 410])
def test_a_file_missing_in_the_mirror_comes_from_the_host_without_a_warning(
        mirror_url, cache, host, answer, said, status):
    mirror_url.answers = [answer(status=status)]
    host.answers = [answer(CONTENT)]
    assert fetch(url_of(host.url), cache) == cache / GOOD
    assert len(mirror_url.requests) == len(host.requests) == 1 and said() == ''


@pytest.mark.parametrize('trouble', ['wrong bytes', 'refused', 'in trouble', 'no address'])
def test_a_mirror_with_a_problem_is_a_warning_and_the_host_is_asked(
        mirror_url, cache, host, answer, said, monkeypatch, trouble):
    mirror_url.answers = [answer(OTHER) if trouble == 'wrong bytes' else
                          answer(status=403 if trouble == 'refused' else 503)]
    if trouble == 'no address':
        monkeypatch.setenv(VARIABLE, 'http://127.0.0.1:1')
    host.answers = [answer(CONTENT)]
    assert fetch(url_of(host.url), cache) == cache / GOOD
    assert 'WARNING' in said()
    assert [path.name for path in cache.iterdir()] == [GOOD]


def test_a_part_from_the_mirror_is_completed_by_the_host(
        mirror_url, cache, host, answer):
    mirror_url.answers = [answer(CONTENT, cut=3000)] + 9 * [answer(status=503)]
    host.answers = [answer(CONTENT, headers={'ETag': '"another host\'s"'})]
    assert fetch(url_of(host.url), cache).read_bytes() == CONTENT
    # The mirror's ETag means nothing to the host. The hash allows resuming.
    assert host.asked('Range') == ['bytes=3000-'] and host.asked('If-Range') == [None]


def test_if_both_have_wrong_bytes_the_error_names_the_host(mirror_url, cache, host, answer):
    mirror_url.answers = host.answers = [answer(OTHER)]
    with pytest.raises(HashMismatch, match=host.url):
        fetch(url_of(host.url), cache)


def test_weights_of_the_zoo_are_found_in_the_mirror_by_url_and_by_name(
        mirror, monkeypatch):
    entry = zoo.find('convmixer-64-4_digits')
    packaged = Path(entry.weights)
    shutil.copy(packaged, mirror)
    url = f'{NOWHERE}/{packaged.name}'
    assert zoo.resolve_checkpoint(url) == mirror / packaged.name
    monkeypatch.setattr(entry, 'weights', url)
    assert zoo.resolve_checkpoint(entry.name) == mirror / packaged.name
    get_model(entry.name, pretrained=True)


@pytest.mark.parametrize('asked', ['convmixer-64-4_digits', 'url'])
def test_the_hash_in_the_model_index_is_checked(
        monkeypatch, host, answer, asked):
    entry = zoo.find('convmixer-64-4_digits')
    monkeypatch.setattr(entry, 'weights', f'{host.url}/net.pth')
    host.answers = [answer(OTHER)]
    with pytest.raises(HashMismatch, match=f'promises {entry.data["SHA256"]}'):
        zoo.resolve_checkpoint(entry.weights if asked == 'url' else asked)

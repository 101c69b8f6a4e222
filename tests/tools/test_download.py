import shutil
from pathlib import Path

import pytest

from mmconvmixer import zoo
from mmconvmixer.checkpoints.download.mirror import VARIABLE

DIGITS = 'convmixer-64-4_digits'


@pytest.fixture
def published(server, monkeypatch):
    """The packaged weights on a local server; the other models without weights."""
    packaged = {}
    for name in zoo.names():
        entry = zoo.find(name)
        if '://' in entry.weights:
            monkeypatch.setattr(entry, 'weights', None)
            continue
        source = packaged[name] = Path(entry.weights)
        shutil.copy(source, server.folder)
        monkeypatch.setattr(entry, 'weights', f'{server.url}/{source.name}')
    return packaged


@pytest.fixture
def download(tool):
    return lambda *arguments: tool('download', *arguments, experiment=False)


def test_its_options_are_a_pattern_and_a_folder(tools, options_of):
    assert options_of(tools('download')) == {'--help', '-h', 'pattern', '--to'}
    assert tools('download').parse_args(['--to', 'x']).pattern == 'convmixer*'


def test_a_folder_is_filled_and_each_file_reported(published, download, tmp_path):
    run = download('--to', tmp_path / 'new/weights')
    assert run.code == 0, run.err
    lines = dict(line.split(maxsplit=1) for line in run.out.splitlines())
    assert set(lines) == {path.name for path in published.values()}
    for path in published.values():
        assert (tmp_path / 'new/weights' / path.name).read_bytes() == path.read_bytes()
        digits = path.stem[-8:]
        assert lines[path.name] == f'{path.stat().st_size} bytes  sha256 {digits} verified'
    assert len(list((tmp_path / 'new/weights').iterdir())) == len(published)


def test_existing_files_are_not_downloaded_again_unless_damaged(
        published, download, tmp_path, server):
    first = download('--to', tmp_path)
    del server.asked[:]
    assert download('--to', tmp_path).out == first.out
    assert server.asked == []
    damaged = tmp_path / published[DIGITS].name
    damaged.write_bytes(b'damaged')
    assert download('--to', tmp_path).out == first.out
    assert server.asked == [f'/{damaged.name}']


@pytest.mark.parametrize('pattern', ['convmixer-128*', 'CONVMIXER-128', '*128-4*'])
def test_a_pattern_selects_as_in_list_models(published, download, tmp_path, pattern):
    run = download(pattern, '--to', tmp_path)
    assert {line.split('-')[1] for line in run.out.splitlines()} == {'128'}
    assert len(run.out.splitlines()) == 2


def test_weights_of_the_package_are_copied(download, tmp_path):
    run = download(DIGITS, '--to', tmp_path)
    source = Path(zoo.find(DIGITS).weights)
    assert run.code == 0 and run.out.startswith(source.name)
    assert (tmp_path / source.name).read_bytes() == source.read_bytes()


def test_the_folder_is_a_mirror(published, download, tmp_path, server, monkeypatch):
    download('--to', tmp_path)
    del server.asked[:]
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert zoo.resolve_checkpoint(DIGITS) == tmp_path / published[DIGITS].name
    assert server.asked == []


def test_a_folder_that_is_the_mirror_already_is_filled_too(
        published, download, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert download('--to', tmp_path).code == 0
    assert len(list(tmp_path.iterdir())) == len(published)


def test_a_file_without_a_published_hash_is_reported(
        published, download, tmp_path, server, monkeypatch):
    entry = zoo.find(DIGITS)
    (server.folder / 'net.pth').write_bytes(b'weights')
    monkeypatch.setattr(entry, 'weights', f'{server.url}/net.pth')
    monkeypatch.delitem(entry.data, 'SHA256')
    assert download(DIGITS, '--to', tmp_path).out == 'net.pth  7 bytes  no hash known\n'


def test_a_failed_file_is_one_line_and_the_others_are_downloaded(
        published, download, tmp_path, server):
    missing = published[DIGITS].name
    (server.folder / missing).unlink()
    run = download('--to', tmp_path)
    assert run.code == 2
    assert len(run.out.splitlines()) == len(published) - 1
    line, = run.err.splitlines()
    assert line.startswith(f'error: 1 of {len(published)} files failed: ') and missing in line
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in published.values()} - {missing}


def test_a_pattern_without_a_match_is_a_one_line_error(bad_input, tmp_path):
    said = bad_input('download', 'convmixxer-*', '--to', tmp_path / 'x', experiment=False)
    assert "convmixxer-*" in said and 'nearest: convmixer-' in said


def test_mmpretrains_models_are_not_downloaded(bad_input, tmp_path):
    bad_input('download', 'resnet50*', '--to', tmp_path / 'x', experiment=False)


def test_a_folder_that_cannot_be_written_is_a_one_line_error(published, bad_input, tmp_path):
    (tmp_path / 'file').write_text('not a folder')
    said = bad_input('download', DIGITS, '--to', tmp_path / 'file', experiment=False)
    assert str(tmp_path / 'file') in said


def test_three_files_with_one_name_stay_three_files(
        server, download, tmp_path, monkeypatch):
    """The weights of all B/16 models have the same file name and no published hash."""
    names = {'mlp-mixer-base-p16_flax_in1k': 'imagenet1k',
             'mlp-mixer-base-p16_flax-sam_in1k': 'sam',
             'mlp-mixer-base-p16_flax_in21k': 'imagenet21k'}
    for name, folder in names.items():
        (server.folder / folder).mkdir()
        (server.folder / folder / 'Mixer-B_16.npz').write_text(folder)
        for entry in (zoo.find(name), zoo.find(f'{name}-features')):
            monkeypatch.setattr(entry, 'weights', f'{server.url}/{folder}/Mixer-B_16.npz')
    run = download('mlp-mixer-base-p16_flax*', '--to', tmp_path)
    assert run.code == 0, run.err
    assert len(server.asked) == len(run.out.splitlines()) == 3
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name, folder in names.items():
        assert zoo.resolve_checkpoint(f'{name}-features').read_text() == folder

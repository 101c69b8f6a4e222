"""onnxruntime-web comes from npm, once, or from a folder, and always with the pinned bytes."""
import pytest

from mmconvmixer.deploy.web import runtime
from mmconvmixer.deploy.web.runtime import copy_runtime
from mmconvmixer.errors import DownloadError, HashMismatch, MissingPackage, UnknownOption

pytest.importorskip('onnxruntime', reason='onnxruntime, whose license is copied, is not installed')


def test_a_folder_of_the_package_is_copied_with_programs_compressed(package, tmp_path, unzipped):
    copy_runtime(tmp_path / 'runtime', package)
    assert sorted(path.name for path in (tmp_path / 'runtime').iterdir()) == [
        'LICENSE', 'ThirdPartyNotices.txt', 'ort-wasm-simd-threaded.asyncify.wasm.gz',
        'ort-wasm-simd-threaded.wasm.gz', 'ort.wasm.bundle.min.mjs', 'ort.webgpu.bundle.min.mjs']
    for name in runtime.FILES:
        written = tmp_path / 'runtime' / name
        content = written.read_bytes() if written.exists() else unzipped(
            written.with_name(f'{name}.gz'))
        assert content == (package / 'dist' / name).read_bytes()
    assert 'MIT License' in (tmp_path / 'runtime/LICENSE').read_text()


def test_the_same_package_gives_the_same_bytes(package, tmp_path):
    for name in ('one', 'two'):
        copy_runtime(tmp_path / name, package)
    for path in (tmp_path / 'one').iterdir():
        assert path.read_bytes() == (tmp_path / 'two' / path.name).read_bytes()


def test_other_bytes_are_refused(package, tmp_path):
    (package / 'dist/ort.wasm.bundle.min.mjs').write_bytes(b'of another release')
    with pytest.raises(HashMismatch, match=f'that of onnxruntime-web {runtime.VERSION} has'):
        copy_runtime(tmp_path / 'runtime', package)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(UnknownOption, match='has no dist/ort.wasm.*expected the unpacked package'):
        copy_runtime(tmp_path / 'runtime', tmp_path)


def test_npm_is_asked_once(npm, package, tmp_path, unzipped):
    for name in ('one', 'two'):
        copy_runtime(tmp_path / name)
        assert unzipped(tmp_path / name / 'ort-wasm-simd-threaded.wasm.gz') == (
            package / 'dist/ort-wasm-simd-threaded.wasm').read_bytes()
    assert (tmp_path / 'asked').read_text() == (
        f'pack onnxruntime-web@{runtime.VERSION} --ignore-scripts\n')


def test_a_package_that_was_changed_is_not_kept(npm, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, 'INTEGRITY', 'sha512-something')
    with pytest.raises(HashMismatch, match='but sha512-something is published'):
        copy_runtime(tmp_path / 'runtime')
    assert not [path for path in runtime._archive_path().parent.glob('*') if path.is_file()]


def test_a_damaged_download_is_replaced(npm, tmp_path):
    copy_runtime(tmp_path / 'one')
    runtime._archive_path().write_bytes(b'cut short')
    copy_runtime(tmp_path / 'two')
    assert (tmp_path / 'asked').read_text().count('pack') == 2


def test_the_message_of_npm_is_passed_on(npm, tmp_path):
    npm.write_text('#!/bin/sh\necho "npm error code ENOTFOUND" >&2\nexit 1\n')
    with pytest.raises(DownloadError, match='npm error code ENOTFOUND; check the network'):
        copy_runtime(tmp_path / 'runtime')


def test_without_npm_the_message_says_how_to_go_on(package, tmp_path, monkeypatch):
    monkeypatch.setattr('shutil.which', lambda name, path: None)
    with pytest.raises(MissingPackage, match=r"pip install 'mmconvmixer\[web\]'.*--runtime"):
        copy_runtime(tmp_path / 'runtime')

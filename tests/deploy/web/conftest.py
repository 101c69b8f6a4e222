"""A stand-in for npm."""
import gzip
import io
import tarfile

import pytest

from mmconvmixer.deploy.web import runtime


@pytest.fixture
def npm(tmp_path, package, monkeypatch):
    """An `npm` that packs `package`, and notes what it was asked."""
    archive = tmp_path / 'packed.tgz'
    with tarfile.open(archive, 'w:gz') as packed:
        for path in sorted((package / 'dist').iterdir()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(f'package/dist/{path.name}')
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    monkeypatch.setattr(runtime, 'INTEGRITY', runtime._integrity(archive))
    asked = tmp_path / 'asked'
    command = tmp_path / 'bin' / 'npm'
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" >> {asked}\ncp {archive} package.tgz\n')
    command.chmod(0o755)
    monkeypatch.setenv('PATH', f'{command.parent}:/usr/bin:/bin')
    return command


@pytest.fixture
def unzipped():
    return lambda path: gzip.decompress(path.read_bytes())

"""onnxruntime-web: one pinned release, taken from npm or a folder and checked against hashes."""
import base64
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import IO, cast

import torch

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer._support.lock import locked
from mmconvmixer.errors import DownloadError, HashMismatch, MissingPackage, UnknownOption

PACKAGE, VERSION = 'onnxruntime-web', '1.30.0'
# npm's `dist.integrity` of this release.
INTEGRITY = ('sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1S'
             'igqR4CXAfKYQ==')
# The files that the page loads, with their sha256: for WASM alone, and for WebGPU.
FILES = {
    'ort.wasm.bundle.min.mjs': '11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90',
    'ort-wasm-simd-threaded.wasm':
        '3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2',
    'ort.webgpu.bundle.min.mjs': '0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2',
    'ort-wasm-simd-threaded.asyncify.wasm':
        '39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da',
}
# npm's package holds no text of its license, but the package for Python does.
LICENSES = ('LICENSE', 'ThirdPartyNotices.txt')
_TIMEOUT = 600  # seconds; npm retries by itself


def copy_runtime(target: Path, source: str | os.PathLike | None = None) -> None:
    """Write the runtime's files and its license into a new folder.

    Programs (.wasm) are compressed to a quarter (.wasm.gz); the page decompresses them.

    Args:
        target: the folder.
        source: folder of the unpacked package. Default: the package from npm, which is
            downloaded once, into torch hub's folder.

    Raises:
        UnknownOption: `source` is not a folder with this release of the package.
        HashMismatch: a file has other bytes than the release.
        MissingPackage: npm is not installed, and there is no earlier download.
        DownloadError: npm does not get the package.
    """
    target.mkdir()
    contents = _in_folder(Path(source)) if source is not None else _in_archive(_archive())
    for name, promised in FILES.items():
        content = contents[name]
        digest = hashlib.sha256(content).hexdigest()
        if digest != promised:
            raise HashMismatch(f'{name} has sha256 {digest[:8]}, but that of {PACKAGE} {VERSION} '
                               f'has {promised[:8]}; give the folder of this release')
        if name.endswith('.wasm'):
            name, content = f'{name}.gz', gzip.compress(content, 6, mtime=0)
        (target / name).write_bytes(content)
    for name in LICENSES:
        (target / name).write_bytes(files('onnxruntime').joinpath(name).read_bytes())


def _in_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of an unpacked package."""
    missing = [name for name in FILES if not (folder / 'dist' / name).is_file()]
    if missing:
        raise UnknownOption(f'{folder} has no dist/{missing[0]}; expected the unpacked package '
                            f'{PACKAGE} {VERSION}: npm pack {PACKAGE}@{VERSION}')
    return {name: (folder / 'dist' / name).read_bytes() for name in FILES}


def _in_archive(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {name: cast(IO[bytes], archive.extractfile(f'package/dist/{name}')).read()
                for name in FILES}


def _archive() -> Path:
    """Return the package as npm packs it; npm is asked for it once."""
    path = _archive_path()
    with locked(path.with_name(f'.{path.name}.lock'), f'downloading {PACKAGE}'):
        if path.is_file() and _integrity(path) == INTEGRITY:
            return path
        with atomic_write(path) as part, tempfile.TemporaryDirectory() as folder:
            packed = _packed_by_npm(Path(folder))
            if (found := _integrity(packed)) != INTEGRITY:
                raise HashMismatch(f'npm gave {PACKAGE} {VERSION} with the integrity {found}, but '
                                   f'{INTEGRITY} is published; it was not kept')
            shutil.copyfile(packed, part)
    return path


def _archive_path() -> Path:
    return Path(torch.hub.get_dir()) / 'checkpoints' / f'{PACKAGE}-{VERSION}.tgz'


def _packed_by_npm(folder: Path) -> Path:
    # Of a virtual environment that is not activated, too.
    places = os.pathsep.join((os.environ.get('PATH', ''), str(Path(sys.executable).parent)))
    npm = shutil.which('npm', path=places)
    if npm is None:
        raise MissingPackage(
            f'the format web needs {PACKAGE} {VERSION}, which npm downloads: install npm (pip '
            f"install 'mmconvmixer[web]' does), or run npm pack {PACKAGE}@{VERSION} elsewhere, "
            'unpack it, and give the folder: --runtime package')
    try:
        done = subprocess.run(
            [npm, 'pack', f'{PACKAGE}@{VERSION}', '--ignore-scripts'], cwd=folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace',
            timeout=_TIMEOUT, env={**os.environ, 'PATH': places})
        said = done.stderr
    except subprocess.TimeoutExpired:
        said = f'no answer in {_TIMEOUT} s'
    packed = next(folder.glob('*.tgz'), None)
    if packed is None:
        raise DownloadError(f'npm does not download {PACKAGE} {VERSION}: {_reason(said)}; check '
                            'the network, or give the folder of the unpacked package, --runtime')
    return packed


def _reason(said: str) -> str:
    errors = [line for line in said.splitlines() if 'error' in line.lower()]
    return ' '.join(errors[:3]) or said.strip()[:300] or 'it says nothing'


def _integrity(path: Path) -> str:
    """Return a file's hash as npm writes it."""
    digest = hashlib.sha512(path.read_bytes()).digest()
    return f'sha512-{base64.b64encode(digest).decode()}'

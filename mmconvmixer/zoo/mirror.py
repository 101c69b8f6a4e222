"""Fill a mirror folder with published weights, for `tools/download.py`."""
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints.download import fetch_to, is_url, mirror_name
from mmconvmixer.checkpoints.hashes import matches_hash
from mmconvmixer.errors import HashMismatch, MMConvMixerError, UnknownModel, nearest
from mmconvmixer.zoo.index import find, names, published_hash
from mmconvmixer.zoo.models import list_models


@dataclass
class Mirrored:
    """One file of the mirror, or the error that it caused."""
    path: Path
    promised: str = ''  # prefix of the verified sha256; '' if none is published
    error: MMConvMixerError | None = None


def fill_mirror(pattern: str, folder: str | os.PathLike) -> Iterator[Mirrored]:
    """Put the published weights of this zoo's models into a folder, one file at a time.

    The folder can then be used as MMCONVMIXER_MIRROR. Weights come from their original
    host or from the package. Existing files with the right hash, or without a published
    one, are kept. Models with the same weights share one file.

    Args:
        pattern: which models, as in `list_models`.
        folder: created if it is missing.

    Yields:
        Each file once it is there, or its error; an error does not stop the others.

    Raises:
        UnknownModel: no model with published weights matches the pattern.
    """
    entries = [entry for name in list_models(pattern)
               if (entry := find(name)) and entry.weights]
    if not entries:
        raise UnknownModel(f'{pattern} matches no model of this zoo with published weights; '
                           f'nearest: {nearest(pattern, names())}')
    for weights, entry in {entry.weights: entry for entry in entries}.items():
        promised = published_hash(entry)
        is_published = is_url(weights)
        target = Path(folder, mirror_name(weights, promised) if is_published
                      else Path(weights).name)
        try:
            if is_published:
                fetch_to(target, [weights], promised)
            elif not matches_hash(target, promised):
                _copy(Path(weights), target, promised)
            yield Mirrored(target, promised)
        except MMConvMixerError as error:
            yield Mirrored(target, error=error)


def _copy(source: Path, target: Path, promised: str) -> None:
    with atomic_write(target) as part:
        shutil.copyfile(source, part)
        if not matches_hash(part, promised):
            raise HashMismatch(f'{source} does not have the sha256 {promised}; install the package '
                               'again')

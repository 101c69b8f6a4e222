"""Fill a folder with published weights: what `tools/download.py` runs."""
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmconvmixer import zoo
from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints.download.fetch import fetch_to, mirror_name
from mmconvmixer.checkpoints.download.http import is_url
from mmconvmixer.checkpoints.hashes import matches_hash
from mmconvmixer.errors import HashMismatch, MMConvMixerError, UnknownModel, nearest
from mmconvmixer.zoo.models import list_models


@dataclass
class Mirrored:
    """What became of one model's weights."""
    path: Path
    promised: str = ''  # prefix of the sha256 that the file has; '' where nobody knows it
    error: MMConvMixerError | None = None


def fill_mirror(pattern: str, folder: str | os.PathLike) -> Iterator[Mirrored]:
    """Put the published weights of this zoo's models into a folder, one by one.

    The folder then serves as MMCONVMIXER_MIRROR. Weights come from their
    original host, or from the package; what is there and right stays, as does
    a file that nobody knows the hash of. Models that share weights share the file.

    Args:
        pattern: which models, as in `list_models`.
        folder: made if need be.

    Yields:
        A file that is there now, or the error that it met: others follow.

    Raises:
        UnknownModel: the pattern means no model with published weights.
    """
    entries = [entry for name in list_models(pattern)
               if (entry := zoo.find(name)) and entry.weights]
    if not entries:
        raise UnknownModel(f'{pattern} means no model of this zoo with published weights; '
                           f'nearest: {nearest(pattern, zoo.names())}')
    for weights, entry in {entry.weights: entry for entry in entries}.items():
        promised = zoo.published_hash(entry)
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
            raise HashMismatch(f'{source} is not the file with sha256 {promised}; install the '
                               'package again')

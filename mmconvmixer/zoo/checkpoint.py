"""From what a user calls a checkpoint to a file."""
from pathlib import Path

from modelindex.models.Model import Model

from mmconvmixer.checkpoints import fetch, holds_weights
from mmconvmixer.checkpoints.download.fetch import cache_name, file_name, mirror_name
from mmconvmixer.checkpoints.download.http import is_url
from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.errors import BadCheckpoint, CheckpointNotFound, nearest
from mmconvmixer.zoo.hub import look_up
from mmconvmixer.zoo.hugging_face import PREFIXES, fetch_from_hub
from mmconvmixer.zoo.index import (
    find,
    find_by_config,
    find_by_weights,
    models,
    names,
    published_hash,
)


def resolve_checkpoint(checkpoint: str | Path | None, config: str | Path = '') -> Path:
    """Return the local file of a path, an http(s) URL, a model name or a `hf-hub:` name.

    Args:
        checkpoint: which, or the folder of a copy of a hub's repository or of a
            TensorFlow SavedModel; None for the weights that the zoo has for `config`.
        config: path of the config that the weights are for.

    Raises:
        CheckpointNotFound: no such file or name, or no weights published.
        DownloadError, HashMismatch: see `mmconvmixer.checkpoints.download.fetch` and
            `mmconvmixer.zoo.hugging_face`.
    """
    if checkpoint is None:
        entry = find_by_config(config)
        if entry is None or not entry.weights:
            raise CheckpointNotFound(f'no weights are published for {config}; give a '
                                     'CHECKPOINT: a path, a URL or a name from list_models()')
        checkpoint = entry.weights
    text = str(checkpoint)
    if is_url(text):
        entry = find_by_weights(text)
        return fetch(text, sha256=published_hash(entry) if entry else '')
    if text.startswith(PREFIXES):
        return fetch_from_hub(text)
    if Path(text).is_file() or holds_weights(Path(text)):
        return Path(text)
    entry = look_up(text)
    if entry is None or not entry.weights:
        kind = 'a folder and not' if Path(text).is_dir() else 'neither a file nor'
        raise CheckpointNotFound(f'checkpoint {text} is {kind} a model with published weights; '
                                 f'nearest: {nearest(text, names())}')
    return resolve_checkpoint(entry.weights)


def find_by_checkpoint(checkpoint: str | Path, path: Path) -> Model | None:
    """Return the model of this zoo whose published weights a checkpoint is, None if there is none.

    A model's name and the URL of its weights are unambiguous. A file is recognized by its
    sha256; where none is published, by its name and the folder that the cache or a mirror
    keeps it in.

    Args:
        checkpoint: what the user gave: a path, a URL or a model name.
        path: what `resolve_checkpoint` made of it.

    Raises:
        BadCheckpoint: only the file's name is that of published weights.
    """
    text = str(checkpoint)
    entry = find_by_weights(text) if is_url(text) else None if Path(text).is_file() else find(text)
    if entry and entry.weights:
        return find_by_weights(entry.weights)
    digest = sha256_of(path) if path.is_file() else ''
    of_this_name = {}
    for entry in models().values():
        address, promised = entry.weights, published_hash(entry)
        if not address:
            continue
        if promised:
            if digest.startswith(promised):
                return find_by_weights(address)
        elif file_name(address) == path.name:
            of_this_name[entry.name] = mirror_name(address, promised)
            if path.parts[-2:] in (Path(cache_name(address)).parts,
                                   Path(of_this_name[entry.name]).parts):
                return find_by_weights(address)
    if of_this_name:
        raise BadCheckpoint(
            f'{path} has the file name of {", ".join(of_this_name)}, but no hash of those weights '
            'is published that shows whose they are. Give the name of the model instead, or keep '
            f'the file in a folder as at its address, such as {[*of_this_name.values()][0]}')
    return None

"""Resolve what a user gives as a checkpoint: to its file, and to the model it belongs to."""
import os
from pathlib import Path

from modelindex.models.Model import Model

from mmconvmixer.checkpoints import fetch, is_checkpoint
from mmconvmixer.checkpoints.download import cache_name, file_name, is_url, mirror_name
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
        checkpoint: one of these, or the folder of a TensorFlow SavedModel or of a copied
            Hugging Face repository. None for the published weights of `config`.
        config: path of the config that the weights are for.

    Raises:
        CheckpointNotFound: there is no such file or name, or no weights are published.
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
    if not text.strip():  # as a path, this would be the current folder
        raise CheckpointNotFound(f'the checkpoint is {text!r}; give a path, an http(s) URL or a '
                                 'name from list_models()')
    if is_url(text):
        entry = find_by_weights(text)
        return fetch(text, sha256=published_hash(entry) if entry else '',
                     published=entry is not None)
    if text.startswith(PREFIXES):
        return fetch_from_hub(text)
    if is_checkpoint(Path(text)):
        return Path(text)
    entry = look_up(text)
    if entry is None or not entry.weights:
        kind = 'a folder and not' if os.path.isdir(text) else 'neither a file nor'
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
    if is_url(text) and (entry := find_by_weights(text)):
        return entry
    if path != Path(text) and (entry := find(text)):  # a file or folder of this name comes first
        return find_by_weights(entry.weights)
    digest = sha256_of(path) if path.is_file() else ''
    same_name = {}
    for entry in (entry for entry in models().values() if entry.weights):
        if promised := published_hash(entry):
            if digest.startswith(promised):
                return find_by_weights(entry.weights)
        elif file_name(entry.weights) == path.name:
            same_name[entry.name] = mirror_name(entry.weights, promised)
            if '/'.join(path.parts[-2:]) in (cache_name(entry.weights), same_name[entry.name]):
                return find_by_weights(entry.weights)
    if same_name:
        raise BadCheckpoint(
            f'{path} has the file name of the weights of {", ".join(same_name)}, and they have no '
            'published hash to recognize them by. Give the name of the model instead, or put the '
            f'file into a folder as in its URL, such as {next(iter(same_name.values()))}')
    return None

"""From what a user calls a checkpoint to a file."""
from pathlib import Path

from mmconvmixer.checkpoints import fetch, holds_weights
from mmconvmixer.checkpoints.download.http import is_url
from mmconvmixer.errors import CheckpointNotFound, nearest
from mmconvmixer.zoo.hub import look_up
from mmconvmixer.zoo.hugging_face import PREFIXES, fetch_from_hub
from mmconvmixer.zoo.index import find_by_config, find_by_weights, names, promised_hash


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
        return fetch(text, sha256=promised_hash(entry) if entry else '')
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

"""From what a user calls a checkpoint to a file."""
from pathlib import Path

from mmconvmixer.checkpoints import fetch
from mmconvmixer.checkpoints.fetch import is_url
from mmconvmixer.errors import CheckpointNotFound, nearest
from mmconvmixer.zoo.index import find, find_by_config, names


def resolve_checkpoint(checkpoint: str | Path | None, config: str | Path = '') -> Path:
    """Return the local file of a path, an http(s) URL or a model name.

    Args:
        checkpoint: which; None for the weights that the zoo has for `config`.
        config: path of the config that the weights are for.

    Raises:
        CheckpointNotFound: no such file or name, or no weights published.
        DownloadError, HashMismatch: see `mmconvmixer.checkpoints.fetch`.
    """
    if checkpoint is None:
        entry = find_by_config(config)
        if entry is None or not entry.weights:
            raise CheckpointNotFound(f'no weights are published for {config}; give a '
                                     'CHECKPOINT: a path, a URL or a name from list_models()')
        checkpoint = entry.weights
    text = str(checkpoint)
    if is_url(text):
        return fetch(text)
    if Path(text).exists():
        return Path(text)
    weights = _weights_of(text)
    if weights is None:
        raise CheckpointNotFound(f'checkpoint {text} is neither a file nor a model with '
                                 f'published weights; nearest: {nearest(text, names())}')
    return resolve_checkpoint(weights)


def _weights_of(name: str) -> str | None:
    entry = find(name)
    if entry is None:
        from mmpretrain.apis.model import ModelHub
        ModelHub._register_mmpretrain_models()
        entry = ModelHub._models_dict.get(name.lower())
    return entry.weights if entry else None

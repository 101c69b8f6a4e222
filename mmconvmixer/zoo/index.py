"""This package's model index: names -> config, weights, published figures."""
from functools import cache
from pathlib import Path

from modelindex.load_model_index import load
from modelindex.models.Model import Model

PACKAGE = Path(__file__).resolve().parents[1]


def package_root() -> Path:
    """Return the folder that holds configs/, tools/ and model-index.yml.

    `.mim` inside the installed package, or the checkout that it runs from.
    """
    installed = PACKAGE / '.mim'
    return installed if installed.is_dir() else PACKAGE.parent


@cache
def models() -> dict[str, Model]:
    """Return the metafile entry of every model, by lower-case name.

    `config` and packaged `weights` are absolute paths, other weights URLs.
    """
    root = package_root()
    index = load(str(root / 'model-index.yml'))
    index.build_models_with_collections()
    entries = {}
    for entry in index.models:
        entry.config = str(root / entry.config)
        if entry.weights and '://' not in entry.weights:
            entry.weights = str(PACKAGE.parent / entry.weights)
        entries[entry.name.lower()] = entry
    return entries


def names() -> list[str]:
    return sorted(models())


def find(name: str) -> Model | None:
    """Return the entry of a name in any case, None if it is not in this zoo."""
    return models().get(name.lower())


def find_by_config(config: str | Path) -> Model | None:
    """Return the model whose config file has this file's name, None if none has."""
    for entry in models().values():
        if Path(entry.config).name == Path(config).name:
            return entry
    return None


def find_by_weights(url: str) -> Model | None:
    """Return the model whose published weights have this address, None if none has."""
    return next((entry for entry in models().values() if entry.weights == url), None)


def promised_hash(entry: Model) -> str:
    """Return the sha256 of a model's weights, or its first digits; '' if not published."""
    return str(entry.data.get('SHA256', ''))

"""This package's model index: names -> config, weights, published figures."""
from functools import cache
from pathlib import Path

from modelindex.load_model_index import load
from modelindex.models.Model import Model

PACKAGE = Path(__file__).resolve().parents[1]
_TF_HUB = 'https://tfhub.dev/'


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


@cache
def aliases() -> dict[str, Model]:
    """Return the entries that have another name too, by that name in lower case.

    These are the handles of the collections on TF-Hub.
    """
    return {alias.lower(): entry for entry in models().values()
            for alias in entry.data.get('Aliases', ())}


def names() -> list[str]:
    return sorted(models())


def find(name: str) -> Model | None:
    """Return the entry of a name or alias in any case, None if it is not in this zoo.

    A handle may be a whole address on tfhub.dev, as it stands in people's code.
    """
    name = name.lower()
    return models().get(name) or aliases().get(name.removeprefix(_TF_HUB).strip('/'))


def find_by_config(config: str | Path) -> Model | None:
    """Return the one model whose config file has this file's name, None if none or several have."""
    found = [entry for entry in models().values()
             if Path(entry.config).name == Path(config).name]
    return found[0] if len(found) == 1 else None


def find_by_weights(url: str) -> Model | None:
    """Return the model whose published weights have this address, None if none has."""
    return next((entry for entry in models().values() if entry.weights == url), None)


def promised_hash(entry: Model) -> str:
    """Return the sha256 of a model's weights, or its first digits; '' if not published."""
    return str(entry.data.get('SHA256', ''))

"""The model index: names -> config, weights and published figures."""
from functools import cache
from pathlib import Path

from modelindex.load_model_index import load
from modelindex.models.Model import Model

from mmconvmixer.checkpoints.hashes import hash_in_name

PACKAGE = Path(__file__).resolve().parents[1]
_TF_HUB = 'https://tfhub.dev/'


def package_root() -> Path:
    """Return the folder with configs/, tools/ and model-index.yml.

    It is `.mim` inside an installed package, otherwise the checkout.
    """
    installed = PACKAGE / '.mim'
    return installed if installed.is_dir() else PACKAGE.parent


@cache
def models() -> dict[str, Model]:
    """Return the metafile entry of every model, keyed by its name in lower case.

    `config` is an absolute path; `weights` is one too if they are in the package,
    otherwise a URL.
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
    """Return the entries with aliases, keyed by alias in lower case.

    The aliases are the handles of the collections on TF-Hub.
    """
    return {alias.lower(): entry for entry in models().values()
            for alias in entry.data.get('Aliases', ())}


def names() -> list[str]:
    """Return the names of this zoo's models in lower case, sorted."""
    return sorted(models())


def find(name: str) -> Model | None:
    """Return the entry of a name or alias, None if it is not in this zoo.

    Upper and lower case make no difference. A TF-Hub handle may be the full tfhub.dev
    URL, as found in existing code.
    """
    name = name.lower()
    return models().get(name) or aliases().get(name.removeprefix(_TF_HUB).strip('/'))


def find_by_config(config: str | Path) -> Model | None:
    """Return the one model that a config file belongs to, None if none or several do.

    The file may be in this package, in another checkout, or in mmpretrain, as
    `configs/FAMILY/NAME.py`. The name alone does not count: mmengine writes each run's
    config into its work directory under the same name.
    """
    found = [entry for entry in models().values()
             if _path_in_repository(entry.config) == _path_in_repository(config)]
    return found[0] if len(found) == 1 else None


def _path_in_repository(config: str | Path) -> tuple[str, ...]:
    return Path(config).resolve().parts[-3:]


def find_by_weights(address: str) -> Model | None:
    """Return the model with published weights at this URL or path, None if there is none.

    Of a classifier and its features, which share their weights, it is the classifier,
    whose figures are the ones published.
    """
    found = [entry for entry in models().values() if entry.weights == address]
    return next((entry for entry in found if entry.results), found[0] if found else None)


def published_hash(entry: Model) -> str:
    """Return the sha256 of a model's weights, or its first digits; '' if it is not published."""
    if not entry.weights:
        return ''
    return str(entry.data.get('SHA256', '')).lower() or hash_in_name(Path(entry.weights).name)

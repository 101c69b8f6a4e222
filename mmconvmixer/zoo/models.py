"""mmpretrain's `list_models` and `get_model`, for this zoo's models and mmpretrain's."""
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from modelindex.models.Model import Model

from mmconvmixer._support.building import building
from mmconvmixer.checkpoints import load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.fit import config_errors
from mmconvmixer.checkpoints.head import check_head
from mmconvmixer.checkpoints.meta import dataset_meta_of, meta_of
from mmconvmixer.checkpoints.new_head import without_head
from mmconvmixer.checkpoints.normalization import use_normalization
from mmconvmixer.errors import BadConfig, CheckpointNotFound
from mmconvmixer.zoo.checkpoint import resolve_checkpoint
from mmconvmixer.zoo.config import load_config
from mmconvmixer.zoo.hub import look_up
from mmconvmixer.zoo.index import find_by_config
from mmconvmixer.zoo.parameters import parameters_of
from mmconvmixer.zoo.resizing import use_resizing


def list_models(pattern: str | None = None, exclude_patterns: Sequence[str] | None = None,
                task: str | None = None) -> list[str]:
    """Return the names of the models in this zoo and in mmpretrain's.

    Args:
        pattern: wildcard pattern that names begin with.
        exclude_patterns: wildcard patterns of names to leave out.
        task: such as 'Image Classification'.
    """
    from mmpretrain import list_models as hub_list
    return hub_list(pattern and pattern.lower(),
                    [exclude.lower() for exclude in exclude_patterns or ()], task)


def get_model(model: str | Path | Config, pretrained: bool | str | os.PathLike = False,
              device: str | torch.device | None = None, *, strict: bool = True,
              **model_options: Any) -> BaseModel:
    """Build a model by name, config path or config.

    Args:
        model: a name from `list_models()`, in upper or lower case; the path of a `.py`
            config; or a config.
        pretrained: True for the published weights; a path, URL or model name for other
            weights; False for random weights. Nothing else, so that an empty variable
            does not pass for False.
        device: device of the model. Default: CPU.
        strict: False loads only the weights that fit, for example where the number of
            classes differs.
        **model_options: merged into the config's `model`, such as
            `head=dict(num_classes=10)`. `head=None` gives a network without a head, whose
            weights are loaded without those of the head.

    Returns:
        The model in eval mode, e.g. an `ImageClassifier` with
        `extract_feat(images)` and `predict(images)` for images (N, C, H, W).

    Raises:
        UnknownModel: there is no model of this name.
        BadConfig: the model can't be built from this config.
        UnknownArch: there is no such architecture.
        MMConvMixerError: the weights can't be had or do not fit; see `mmconvmixer.errors`.
    """
    from mmpretrain import get_model as hub_get
    _check_pretrained(pretrained)
    name = model if isinstance(model, str) and not model.endswith('.py') else None
    config = model if isinstance(model, Config) else load_config(model)
    entry = hub_entry(name)
    if pretrained is True:
        # A network with a new head starts from load_from, but those are not its weights.
        start = config.get('load_from') if not config.get('new_head') else None
        pretrained = (entry.weights if entry else None) or start
        if not pretrained and (known := find_by_config(config.filename or '')):
            pretrained = known.weights
        if not pretrained:
            raise CheckpointNotFound(f'no weights are published for {model}; give '
                                     'pretrained=PATH (--checkpoint PATH of export, quantize and '
                                     'benchmark), or pretrained=False for random ones')
    _check_options(config, model_options)
    with config_errors(), building('the model'):
        built = hub_get(config, pretrained=False, **model_options)
    check_head(built)
    built._metainfo = entry
    if pretrained:
        path = resolve_checkpoint(pretrained)
        checkpoint = read_checkpoint(path)
        weights = state_dict_of(checkpoint, str(path))
        if getattr(built, 'head', built) is None:
            weights = without_head(weights)
        load_weights(built, weights, str(path), strict)
        built.weights_origin = weights.origin  # for messages
        meta = meta_of(checkpoint)
        if described := dataset_meta_of(meta):
            built._dataset_meta = described
        if 'data_preprocessor' not in model_options:
            use_normalization(built, meta, str(path))
        use_resizing(built, meta, str(path))
    return built.to(device) if device is not None else built


def _check_options(config: Config, options: dict[str, Any]) -> None:
    """Say where an option belongs that a model has only in one of its parts."""
    whole = config.get('model') or {}
    other = {key: value for key, value in options.items()
             if key not in {*whole, '_delete_', '_scope_'}}
    # Looked up only if there is something to look for.
    known = parameters_of('model', whole, config) if other else None
    for key, value in other.items():
        if known is None or key in known:
            continue
        parts = [part for part in ('head', 'neck', 'backbone') if isinstance(whole.get(part), dict)
                 and key in {*whole[part], *(parameters_of(f'model.{part}', whole[part], config)
                                             or ())}]
        raise BadConfig(f'{key} is no option of {whole.get("type")}; ' + (
            f'give {" or ".join(f"{part}=dict({key}={value!r})" for part in parts)}' if parts else
            f'it has {", ".join(sorted({*whole, *known} - {"type"}))}'))


def _check_pretrained(pretrained: object) -> None:
    """Refuse what is neither True nor False nor a name: '' or None would mean random weights."""
    if isinstance(pretrained, bool) or isinstance(pretrained, str | os.PathLike) and str(
            pretrained).strip():
        return
    raise CheckpointNotFound(f'pretrained is {pretrained!r}; expected True for the published '
                             'weights, False for random ones, or the path, URL or model name of '
                             'others')


def hub_entry(name: object) -> Model | None:
    """Return the entry of a model name, None for a config or an unknown name."""
    return None if not isinstance(name, str) or name.endswith('.py') else look_up(name)

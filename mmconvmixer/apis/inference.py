"""mmpretrain's calls, over this zoo and mmpretrain's."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from mmconvmixer import zoo
from mmconvmixer.checkpoints import load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.fit import config_errors
from mmconvmixer.checkpoints.preprocessing import use_normalisation
from mmconvmixer.zoo.config import load_config
from mmconvmixer.errors import CheckpointNotFound
from mmconvmixer.apis.predictor import Predictor


def list_models(pattern: str | None = None, exclude_patterns: Sequence[str] | None = None,
                task: str | None = None) -> list[str]:
    """Return the names of this zoo and of mmpretrain's.

    Args: those of `mmpretrain.list_models`: a wildcard pattern (matched from
        the start), patterns to leave out, and a task such as
        'Image Classification'.
    """
    from mmpretrain import list_models as hub_list
    return hub_list(pattern and pattern.lower(),
                    [exclude.lower() for exclude in exclude_patterns or ()], task)


def get_model(model: str | Path | Config, pretrained: bool | str = False,
              device: str | torch.device | None = None, *, strict: bool = True,
              **model_options) -> BaseModel:
    """Build a model by name, config path or config.

    Args:
        model: a name from `list_models()` in any case, the path of a `.py`
            config, or a config.
        pretrained: True for the published weights; a path, URL or model name
            for others; False for random weights.
        device: where the model goes. Default: CPU.
        strict: False lets weights and network differ, e.g. in the number of
            classes.
        **model_options: merged into the config's `model`, such as
            `head=dict(num_classes=10)`.

    Returns:
        The model in eval mode, e.g. an `ImageClassifier` with
        `extract_feat(images)` and `predict(images)` for images (N, C, H, W).

    Raises:
        UnknownModel, BadConfig, UnknownArch: what was asked for is not there.
        CheckpointNotFound, BadCheckpoint, CheckpointMismatch, DownloadError,
        HashMismatch: see `mmconvmixer.errors`.
    """
    from mmpretrain import get_model as hub_get
    name = model if isinstance(model, str) and not model.endswith('.py') else None
    config = model if isinstance(model, Config) else load_config(model)
    entry = _hub_entry(name)
    if pretrained is True:
        # What a network with a new head began with are not its weights.
        began_with = config.get('load_from') if not config.get('new_head') else None
        pretrained = (entry.weights if entry else None) or began_with
        if not pretrained and (known := zoo.find_by_config(config.filename or '')):
            pretrained = known.weights
        if not pretrained:
            raise CheckpointNotFound(f'no weights are published for {model}; give '
                                     'pretrained=PATH, or pretrained=False for random ones')
    with config_errors():
        built = hub_get(config, pretrained=False, **model_options)
    built._metainfo = entry
    if pretrained:
        path = zoo.resolve_checkpoint(pretrained)
        checkpoint = read_checkpoint(path)
        load_weights(built, state_dict_of(checkpoint, str(path)), str(path), strict)
        meta = checkpoint['meta'] if isinstance(checkpoint.get('meta'), dict) else {}
        if meta.get('dataset_meta'):  # mmpretrain 1.x
            built._dataset_meta = meta['dataset_meta']
        elif 'CLASSES' in meta:  # mmcls 0.x
            built._dataset_meta = dict(classes=meta['CLASSES'])
        if 'data_preprocessor' not in model_options:
            use_normalisation(built, meta, str(path))
    return built.to(device) if device is not None else built


def inference_model(model: str | Path | Config | BaseModel, inputs: Any, *args,
                    topk: int = 1, **options) -> dict | list[dict]:
    """Say what is in a picture, or in several.

    Args:
        model: see `get_model`; a model that it returned is used as it is.
        inputs: see `Predictor.__call__`.
        topk: how many answers `pred_topk` ranks.
        options: those of `Predictor`: `pretrained` (default True), `device`,
            `strict`, `backend`, `precision`, `calib`, `batch_size` and model
            options; for tasks other than classification, what mmpretrain's
            `inference_model` takes.

    Returns:
        A dict for one picture, a list of dicts for several; see
        `Predictor.__call__`. To ask a model again and again, keep a `Predictor`.
    """
    entry = (getattr(model, '_metainfo', None) if isinstance(model, BaseModel)
             else _hub_entry(model))
    tasks = {result.task for result in (entry and entry.results) or ()}
    if tasks and 'Image Classification' not in tasks:
        from mmpretrain import inference_model as hub_inference
        if not isinstance(model, BaseModel):
            model = get_model(model, options.pop('pretrained', True))
        return hub_inference(model, inputs, *args, **options)
    if args:
        raise TypeError('inference_model takes a model and inputs; name the options, e.g. topk=5')
    if options.get('precision') == 'int8' and options.get('calib') is None:
        several = isinstance(inputs, list | tuple) or (
            isinstance(inputs, str | Path) and Path(inputs).is_dir())
        options['calib'] = inputs if several else [inputs]
    return Predictor(model, **options)(inputs, topk)


def _hub_entry(name: Any):
    return None if not isinstance(name, str) or name.endswith('.py') else zoo.look_up(name)

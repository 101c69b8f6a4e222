"""mmpretrain's `inference_model` for the models of both zoos."""
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel

from mmconvmixer.apis.predictor import Predictor
from mmconvmixer.datasets.image_forms import check_form
from mmconvmixer.zoo import get_model, hub_entry


def inference_model(model: str | Path | Config | BaseModel, inputs: Any, *args: Any,
                    topk: int = 1, **options: Any) -> dict | list[dict]:
    """Classify one image or several.

    Args:
        model: see `get_model`; a model that is already built is used as it is.
        inputs: see `Predictor.__call__`.
        topk: length of the ranking `pred_topk`.
        *args: positional arguments of mmpretrain's `inference_model`, for tasks other
            than classification.
        **options: arguments of `Predictor`: `pretrained` (default True), `device`,
            `strict`, `backend`, `precision`, `calib`, `batch_size` and model options;
            for other tasks, those of mmpretrain's `inference_model`.

    Returns:
        A dict for one image, a list of dicts for several; see `Predictor.__call__`.
        To call a model repeatedly, keep a `Predictor`.

    Raises:
        MMConvMixerError: see `Predictor`.
    """
    entry = (getattr(model, '_metainfo', None) if isinstance(model, BaseModel)
             else hub_entry(model))
    tasks = {result.task for result in (entry and entry.results) or ()}
    if tasks and 'Image Classification' not in tasks:
        from mmpretrain import inference_model as hub_inference
        if not isinstance(model, BaseModel):
            model = get_model(model, options.pop('pretrained', True))
        return hub_inference(model, inputs, *args, **options)
    if args:
        raise TypeError('inference_model takes only a model and inputs by position; pass options '
                        'by name, e.g. topk=5')
    if not isinstance(inputs, list | tuple):  # before a network is built or downloaded
        check_form(inputs)
    if options.get('precision') == 'int8' and options.get('calib') is None:
        several = isinstance(inputs, list | tuple) or (
            isinstance(inputs, str | os.PathLike) and os.path.isdir(inputs))
        options['calib'] = inputs if several else [inputs]
    return Predictor(model, **options)(inputs, topk)

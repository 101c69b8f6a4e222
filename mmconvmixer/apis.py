"""mmpretrain's calls, over this zoo and mmpretrain's."""
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.model import BaseModel
from PIL import Image, ImageOps

from mmconvmixer import zoo
from mmconvmixer.checkpoints import load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.fit import config_errors
from mmconvmixer.checkpoints.preprocessing import use_normalisation
from mmconvmixer.config import load_config
from mmconvmixer.download import download, is_url
from mmconvmixer.errors import BadConfig, BadImage, CheckpointNotFound
from mmconvmixer.progress import Progress

Picture = str | os.PathLike | bytes | np.ndarray | Image.Image

IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp'}


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
        pretrained = (entry.weights if entry else None) or config.get('load_from')
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
        options: `pretrained` (default True), `device`, `strict`, `batch_size`
            and model options; for tasks other than classification, what
            mmpretrain's `inference_model` takes.

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
    batch_size = options.pop('batch_size', 1)
    return Predictor(model, **options)(inputs, topk, batch_size)


class Predictor:
    """A classifier that is asked with pictures.

    A picture goes through the config's test pipeline, as in `tools/test.py`.

    Args:
        model: see `get_model`; a model that it returned is used as it is.
        pretrained, device, strict, **model_options: see `get_model`.
    """

    def __init__(self, model: str | Path | Config | BaseModel, pretrained: bool | str = True,
                 device: str | torch.device | None = None, *, strict: bool = True,
                 **model_options):
        if isinstance(model, BaseModel):
            if model_options or isinstance(pretrained, str):
                raise TypeError('a model that is built takes no further weights or options; give '
                                'its name or config')
            self.model = model.to(device) if device is not None else model
        else:
            self.model = get_model(model, pretrained, device, strict=strict, **model_options)
        self.model.eval()
        self.classes = (getattr(self.model, '_dataset_meta', None) or {}).get('classes')
        self._load, *transforms = _test_pipeline(getattr(self.model, '_config', None))
        self._transform = Compose(transforms)

    def __call__(self, inputs: Any, topk: int = 1, batch_size: int = 1) -> dict | list[dict]:
        """Classify one picture or several.

        Args:
            inputs: a path, an http(s) URL, encoded bytes, a PIL image, an array
                (H, W) or (H, W, 3) BGR uint8 as cv2 reads it; a list of these;
                or a folder, whose pictures are taken in the order of names.
            topk: how many answers `pred_topk` ranks.
            batch_size: pictures a forward pass, in lists and folders.

        Returns:
            For one picture a dict: pred_label (int), pred_score (float),
            pred_scores (array (classes,), they sum to 1), pred_class (str, where
            class names are known), pred_topk (the best `topk`, each with
            pred_label, pred_score, pred_class). For several a list of such
            dicts; a picture that can't be read has `error` in its place. Those
            that came from a file have `img_path`.

        Raises:
            BadImage: the one picture that was asked for can't be read, or a
                folder has none.
        """
        if isinstance(inputs, str | os.PathLike) and Path(inputs).is_dir():
            pictures: list[Picture] = sorted(
                path for path in Path(inputs).iterdir()
                if path.suffix.lower() in IMAGE_SUFFIXES)
            if not pictures:
                raise BadImage(f'folder {inputs} has no picture in it; these count: '
                               f'{", ".join(sorted(IMAGE_SUFFIXES))}')
        elif isinstance(inputs, list | tuple):
            pictures = list(inputs)
        else:
            return self._classify([self._prepare(inputs)], [inputs], topk)[0]
        return self._classify_many(pictures, topk, batch_size)

    def _classify_many(self, pictures: list[Picture], topk: int, batch_size: int) -> list[dict]:
        answers: list[dict | None] = [None] * len(pictures)
        progress = Progress('inference', len(pictures), 'pictures')
        waiting: dict[int, dict] = {}
        for position, picture in enumerate(pictures):
            try:
                waiting[position] = self._prepare(picture)
            except BadImage as error:
                answers[position] = dict(_origin(picture), error=str(error))
            if len(waiting) == batch_size or (waiting and position == len(pictures) - 1):
                asked = [pictures[number] for number in waiting]
                batch = self._classify(list(waiting.values()), asked, topk)
                for number, answer in zip(waiting, batch, strict=True):
                    answers[number] = answer
                waiting.clear()
            progress.update(position + 1)
        return answers

    def _prepare(self, picture: Picture) -> dict:
        """Return the pipeline's sample of one picture, or raise BadImage."""
        try:
            sample = self._load(_as_sample(picture))
        except BadImage:
            raise
        except Exception as error:  # whatever decoders and storage backends throw
            raise BadImage(_complaint(picture, error)) from error
        return self._transform(sample)

    @torch.no_grad()
    def _classify(self, samples: list[dict], pictures: Iterable[Picture], topk: int
                  ) -> list[dict]:
        outputs = self.model.test_step(default_collate(samples))
        return [dict(_origin(picture), **self._answer(output.pred_score, topk))
                for picture, output in zip(pictures, outputs, strict=True)]

    def _answer(self, scores: torch.Tensor, topk: int) -> dict:
        scores = scores.float().cpu()
        best = scores.topk(min(topk, len(scores)))
        ranking = [self._named(int(label), float(score))
                   for score, label in zip(*best, strict=True)]
        return dict(ranking[0], pred_scores=scores.numpy(), pred_topk=ranking)

    def _named(self, label: int, score: float) -> dict:
        named = dict(pred_label=label, pred_score=score)
        if self.classes:
            named['pred_class'] = self.classes[label]
        return named


def _hub_entry(name: Any):
    return None if not isinstance(name, str) or name.endswith('.py') else zoo.look_up(name)


def _test_pipeline(config: Config | None) -> list[BaseTransform]:
    """Build the transforms of a config's test pipeline, loading first.

    The loader takes any picture; the rest is as in `tools/test.py`.
    """
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import TRANSFORMS
    if config is None or 'test_dataloader' not in config:
        raise BadConfig('the model has no config with a test_dataloader, so nobody knows how '
                        'its pictures are prepared; build it with get_model(name or config)')
    load, *rest = (dict(step) for step in config.test_dataloader.dataset.pipeline)
    if load['type'].split('.')[-1] not in ('LoadImageFromFile', 'LoadImage'):
        raise BadConfig(f'the test pipeline begins with {load["type"]}, expected '
                        'LoadImageFromFile or LoadImage')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return [TRANSFORMS.build(step) for step in (dict(load, type='LoadImage'), *rest)]


def _as_sample(picture: Picture) -> dict:
    if isinstance(picture, str | os.PathLike):
        path = os.fspath(picture)
        if is_url(path):
            content = bytearray()
            for piece in download(path):
                content[piece.offset:] = piece.data
            return dict(img_bytes=bytes(content))
        if '://' not in path and not os.path.isfile(path):
            raise BadImage(f'picture {path} is not there; give a path, URL, bytes, PIL image '
                           'or array')
        return dict(img_path=path)
    if isinstance(picture, bytes):
        return dict(img_bytes=picture)
    if isinstance(picture, Image.Image):
        rgb = np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))
        return dict(img=np.ascontiguousarray(rgb[..., ::-1]))
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.size == 0 or not (
                picture.ndim == 2 or picture.ndim == 3 and picture.shape[2] in (1, 3)):
            raise BadImage(f'an array picture is uint8 (H, W) or (H, W, 3) in BGR; got '
                           f'{picture.dtype} {picture.shape}')
        return dict(img=picture)
    raise BadImage(f'a picture is a path, URL, bytes, PIL image or array; got '
                   f'{type(picture).__name__}')


def _origin(picture: Picture) -> dict:
    return dict(img_path=os.fspath(picture)) if isinstance(picture, str | os.PathLike) else {}


def _complaint(picture: Picture, reason: Any) -> str:
    name = _origin(picture).get('img_path', f'({type(picture).__name__})')
    return f'picture {name} can not be decoded: {reason}. Expected a JPEG, PNG or the like'

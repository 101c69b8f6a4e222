"""A classifier for repeated predictions."""
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.model import BaseModel

from mmconvmixer._support.ahead import ahead
from mmconvmixer._support.micro_batcher import MicroBatcher
from mmconvmixer._support.progress import Progress
from mmconvmixer.apis.answer import Answer
from mmconvmixer.datasets.image_forms import (
    ImageInput,
    Limits,
    is_single,
    name_of,
    origin_of,
)
from mmconvmixer.datasets.image_input import ImagePipeline, images_in, raise_unless_of_image
from mmconvmixer.datasets.image_url import MAX_BYTES
from mmconvmixer.errors import BadConfig, BadImage
from mmconvmixer.models import FeatureExtractor
from mmconvmixer.zoo import get_model

# Largest batch made of the images of threads that call at the same moment.
MOST_TOGETHER = 16


class Predictor:
    """A classifier that predicts the classes of images.

    Images go through the config's test pipeline, as in `tools/test.py`. Threads may share
    a predictor: images are preprocessed in parallel, and simultaneous calls go through
    the network in one batch.

    Args:
        model: see `get_model`; a model that is already built is used as it is.
        pretrained: see `get_model`.
        device: see `get_model`.
        strict: see `get_model`.
        backend: the runtime: 'torch' (with BatchNorm folded), 'compile'
            (torch.compile), 'onnxruntime', 'openvino' or 'litert'; 'auto' builds all that are
            installed and selects the fastest whose answers agree with the model's,
            which takes a minute for a large network. On a GPU, 'torch' or
            'compile'. Default: the model itself, or 'auto' if a `precision` is given.
        precision: 'float32', 'bfloat16' or 'int8'. A processor without bfloat16 falls
            back to float32 and logs it.
        calib: for 'int8', real images that calibrate the ranges of the activations: a
            folder or a list.
        batch_size: images per forward pass for lists, folders and streams, unless a call
            gives another; 'auto' measures with it.
        max_pixels: the most pixels of an image, compared before it is decoded. Default:
            Pillow's limit, 178,956,970 unless `PIL.Image.MAX_IMAGE_PIXELS` is changed.
        max_url_bytes: the most bytes that are read from the URL of an image.
        allow_private_urls: whether URLs of images may lead to this machine and to private
            networks.
        **model_options: see `get_model`.

    Raises:
        UnknownOption: the backend or precision does not exist, or they do not go together.
        MissingPackage: the backend's package is not installed.
        MMConvMixerError: see `get_model`.
    """

    def __init__(self, model: str | Path | Config | BaseModel, pretrained: bool | str = True,
                 device: str | torch.device | None = None, *, strict: bool = True,
                 backend: str | None = None, precision: str = 'float32',
                 calib: str | os.PathLike | list[ImageInput] | None = None, batch_size: int = 1,
                 max_pixels: int | None = None, max_url_bytes: int = MAX_BYTES,
                 allow_private_urls: bool = False,
                 **model_options: Any) -> None:
        if backend is None and precision != 'float32':
            backend = 'auto'
        # mmconvmixer.deploy takes a second to import, so only a backend imports it.
        if backend is not None:  # check before downloading weights
            from mmconvmixer.deploy.backends import check_options
            check_options(backend, precision, calib)
        self.batch_size = _at_least_one('batch_size', batch_size)
        if isinstance(model, BaseModel):
            if model_options or isinstance(pretrained, str):
                raise TypeError('weights and options cannot be given with a built model; give its '
                                'name or config')
            self.model = model.to(device) if device is not None else model
        else:
            self.model = get_model(model, pretrained, device, strict=strict, **model_options)
        if isinstance(self.model, FeatureExtractor) or getattr(self.model, 'head', True) is None:
            raise BadConfig('a network without a head predicts no classes; call it with normalized '
                            'images (N, C, H, W), or use the name without -features and without '
                            'head=None')
        self.model.eval()
        self.classes = (getattr(self.model, '_dataset_meta', None) or {}).get('classes')
        self._prepare = ImagePipeline(self.model, limits=Limits(
            max_pixels, max_url_bytes, allow_private_urls))
        self._network = self.model
        if backend is not None:
            from mmconvmixer.deploy.backend_classifier import BackendClassifier
            self._network = BackendClassifier(self.model, backend, precision, calib, batch_size)
        self._together = MicroBatcher(self._scores, MOST_TOGETHER)

    def __call__(self, inputs: Any, topk: int = 1, batch_size: int | None = None
                 ) -> dict | list[dict]:
        """Classify one image or several.

        Args:
            inputs: a path, an http(s) URL, encoded bytes, a PIL image or an array,
                (H, W) or (H, W, 3), BGR uint8 as cv2 reads it; a list or tuple of these;
                or a folder, whose images are taken in the order of their names.
                `stream` takes other iterables.
                With `color_type='unchanged'` in the test pipeline, PIL images and
                arrays may have a fourth channel.
            topk: length of the ranking `pred_topk`.
            batch_size: images per forward pass for lists and folders. Default: the
                predictor's.

        Returns:
            For one image a dict that `json.dumps` takes: pred_label (int), pred_score (float),
            pred_scores (list of a float for each class, which sum to 1), pred_class (str, if
            class names are known), pred_topk (the best `topk`, each with
            pred_label, pred_score, pred_class), img_path (if it came from a file).
            For several images a list of such dicts; an image that cannot be read, or that
            the test pipeline or the network fails on, has the key `error` instead.

        Raises:
            BadImage: the only image cannot be answered, a folder has no images, or `inputs`
                is none of the above.
            Exception: the test pipeline or the network fails, on a plain image too.
        """
        _at_least_one('topk', topk)
        if isinstance(inputs, list | tuple) or _is_folder(inputs):
            return list(self.stream(inputs, topk, batch_size))
        return self._answer_alone(inputs, topk)

    def stream(self, images: Iterable[ImageInput] | str | os.PathLike, topk: int = 1,
               batch_size: int | None = None) -> Iterator[dict]:
        """Yield the prediction for each image, in order, without holding all in memory.

        Images are taken from the iterable when they are needed, and threads preprocess
        them while the network computes. Progress goes to standard error.

        Args:
            images: a list, a generator or another iterable, such as a reader of videos or an
                array (N, H, W, 3), or a folder. What `__call__` takes for one image, such as
                bytes, is one image here too.
            topk: as in `__call__`.
            batch_size: as in `__call__`.

        Raises:
            BadImage: as in `__call__`.
        """
        _at_least_one('topk', topk)
        batch_size = self.batch_size if batch_size is None else _at_least_one(
            'batch_size', batch_size)
        several = _several(images)
        if several is None:
            yield self._answer_alone(images, topk)
            return
        progress = Progress('inference', _length(several), 'images')
        done = 0
        workers = min(4, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            # Enough for the current batch and the next.
            taken = ahead(pool, self._prepared, several, 2 * batch_size + workers)
            ended = None
            try:
                while ended is None:
                    batch = []
                    try:
                        while len(batch) < batch_size:
                            batch.append(next(taken))
                    except Exception as error:  # the iterable failed or is exhausted
                        ended = error
                    yield from self._answers(batch, topk)
                    done += len(batch)
                    progress.update(done)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        if not isinstance(ended, StopIteration):
            raise ended

    def _answer_alone(self, image: Any, topk: int) -> dict:
        sample = self._prepare(image)
        try:
            scores = self._together.ask(sample)
        except Exception as error:
            raise self._fault_of(image, sample, error) from error
        return Answer(origin_of(image), **self._answer(scores, topk))

    def _prepared(self, image: ImageInput) -> tuple[ImageInput, dict | BadImage]:
        try:
            return image, self._prepare(image)
        except BadImage as error:
            return image, error

    def _answers(self, batch: list[tuple[ImageInput, dict | BadImage]], topk: int) -> list[dict]:
        """Return the predictions for preprocessed images, an error for those that have none."""
        samples = [sample for _, sample in batch if not isinstance(sample, BadImage)]
        try:
            scores = iter(self._together.ask_all(samples) if samples else ())
        except Exception as error:
            if len(batch) > 1:  # one of them may be at fault
                return [answer for each in batch for answer in self._answers([each], topk)]
            image, _ = batch[0]
            return [_refused(image, self._fault_of(image, samples[0], error))]
        return [_refused(image, sample) if isinstance(sample, BadImage)
                else Answer(origin_of(image), **self._answer(next(scores), topk))
                for image, sample in batch]

    def _fault_of(self, image: ImageInput, sample: dict, error: Exception) -> BadImage:
        """Return an error of the network as the image's; raise it if a plain image has it too."""
        raise_unless_of_image(error, self._answers_plain())
        size = ' x '.join(str(each) for each in sample['inputs'].shape)
        return BadImage(f'image {name_of(image)}: the network fails on it ({size} after the test '
                        f'pipeline), but not on a plain image ({type(error).__name__}: {error})')

    def _answers_plain(self) -> bool:
        if self._prepare.plain is None:
            return False
        try:
            self._together.ask(self._prepare.plain)
        except Exception:
            return False
        return True

    @torch.no_grad()
    def _scores(self, samples: list[dict]) -> list[torch.Tensor]:
        """Return the probabilities (classes,) of each sample, in one batch per image size."""
        scores: list[torch.Tensor | None] = [None] * len(samples)
        by_shape: dict[tuple, list[int]] = {}
        for number, sample in enumerate(samples):
            by_shape.setdefault(tuple(sample['inputs'].shape), []).append(number)
        for numbers in by_shape.values():
            data = default_collate([samples[number] for number in numbers])
            found = [output.pred_score for output in self._network.test_step(data)]
            for number, score in zip(numbers, found, strict=True):
                scores[number] = score
        return scores

    def _answer(self, scores: torch.Tensor, topk: int) -> dict:
        scores = scores.float().cpu()
        best = scores.topk(min(topk, len(scores)))
        # Class names whose number differs from the scores' belong to another dataset.
        names = self.classes if len(self.classes or ()) == len(scores) else None
        ranking = [_named(int(label), float(score), names)
                   for score, label in zip(*best, strict=True)]
        return dict(ranking[0], pred_scores=scores.tolist(), pred_topk=ranking)


def _named(label: int, score: float, names: Sequence[str] | None) -> dict:
    named = dict(pred_label=label, pred_score=score)
    if names:
        named['pred_class'] = names[label]
    return named


def _refused(image: ImageInput, error: BadImage) -> dict:
    return Answer(origin_of(image), error=str(error))


def _several(images: Iterable[ImageInput] | str | os.PathLike) -> Iterable[ImageInput] | None:
    """Return the images of a folder or an iterable, None for what stands for one image."""
    if isinstance(images, str | os.PathLike):
        return images_in(images) if _is_folder(images) else None
    return None if is_single(images) else images


def _length(images: Iterable) -> int:
    """Return the number of images, 0 if it is not known."""
    try:  # not hasattr: a data loader without a length has the method, which fails
        return operator.length_hint(images)
    except Exception:
        return 0


def _is_folder(inputs: Any) -> bool:
    return isinstance(inputs, str | os.PathLike) and os.path.isdir(inputs)


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f'{name} is {value}, expected 1 or more')
    return value

"""Write a network in another form, and make sure that it still says the same."""
import json
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.logging import print_log
from mmengine.model import BaseModel

from mmconvmixer._support.atomic_write import check_writable
from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.datasets.image_input import ImagePipeline
from mmconvmixer.deploy.classes import classes_of
from mmconvmixer.deploy.formats import FORMATS, load_format
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import Preprocessing, preprocessing_of
from mmconvmixer.deploy.quantization.calibration import calibration_batches
from mmconvmixer.deploy.reference import reference_outputs
from mmconvmixer.deploy.sample_images import odd_images, sample_batch, sample_images
from mmconvmixer.errors import BadConfig, ExportMismatch, OutputNotWritable, UnknownOption
from mmconvmixer.models import FeatureExtractor
from mmconvmixer.zoo.models import get_model

# Of the largest output; what is above is no rounding. Deep networks make the 8 bits of
# bfloat16 felt (0.10 with the digits model); another network would be off by 1 or 2.
TOLERANCES = dict(float32=1e-4, float16=5e-2, bfloat16=0.25, int8=0.5)
IMAGE_TOLERANCE = 0.2
IMAGES = 8


def export(model: str | Path | Config | BaseModel, format: str, out: str | Path, *,
           checkpoint: bool | str | Path | None = None, features: bool = False,
           dynamic_batch: bool | None = None, image_size: int | None = None,
           dtype: str = 'float32', calib: str | Path | None = None, self_contained: bool = False,
           topk: int = 5, **model_options) -> dict:
    """Write a classifier in another form, run it there, and compare.

    Args:
        model: see `get_model`; a model that it returned is used as it is.
        format: a key of `mmconvmixer.deploy.FORMATS`.
        out: the file, or for 'savedmodel' the folder. What was there before is
            replaced once all is well.
        checkpoint: weights as in `get_model(pretrained=...)`. Default: the
            published ones if `model` is a name; random ones, with a line that says
            so, if it is a config.
        features: pooled features (N, embed_dims) instead of logits (N, classes).
        dynamic_batch: any number of images at a time, or one. Default: any,
            except for 'openvino' and 'litert'.
        image_size: height and width of the images. Default: the config's.
        dtype: of the weights, 'float32', 'float16' or 'bfloat16', as far as the
            format has it; input and output are float32 in any case. 'int8' of
            'litert' is arithmetic in int8; for other formats' int8, see
            `mmconvmixer.deploy.quantize`.
        calib: folder of real images, for int8.
        self_contained: 'onnx' and 'openvino' only: the file takes one raw uint8
            image (H, W, 3) of any size, in RGB, and returns the best `topk`
            classes' names and scores.
        **model_options: see `get_model`.

    Returns:
        What is written to `<out>.json` too: names and shapes of input and output,
        preprocessing, classes, checksums, and how the answers on real images
        compare with PyTorch's.

    Raises:
        UnknownOption: a format or dtype that there is not.
        MissingPackage: the format needs a package that is not installed.
        ExportMismatch: the answers differ by more than rounding; nothing is left
            of the file.
        MMConvMixerError: see `get_model`.
    """
    _check_self_contained(self_contained, features, topk)
    module = load_format(format)
    if dtype not in module.DTYPES:
        raise UnknownOption(f'format {format} has no dtype {dtype!r}; it has '
                            f'{", ".join(module.DTYPES)}. For int8 of onnx and openvino there is '
                            'tools/quantize.py')
    if (dtype == 'int8') != (calib is not None):
        raise UnknownOption('dtype int8 and calib, a folder of real images, belong together')
    suffix = module.SUFFIX
    if self_contained:
        module = load_format(format, self_contained)
    out = _checked_out(Path(out), suffix)
    built, name, weights = _built(model, checkpoint, model_options)
    features = features or isinstance(built, FeatureExtractor)
    _check_self_contained(self_contained, features, topk)
    if dynamic_batch is None:
        dynamic_batch = FORMATS[format].dynamic_batch
    if image_size is not None and image_size < 1:
        raise UnknownOption(f'image_size is {image_size}, expected a number of pixels')
    preprocessing = preprocessing_of(built, image_size)
    _check_size(built, preprocessing)
    images = torch.from_numpy(sample_batch(preprocessing, IMAGES))
    expected = reference_outputs(built, images, features)
    job = Job(built, preprocessing, None if features else classes_of(built, expected.shape[1]),
              features, dynamic_batch, dtype, topk)

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as folder:
        part = Path(folder, out.name)
        if dtype == 'int8':
            module.write_int8(job, part, calibration_batches(built, calib))
        else:
            module.write(job, part)
        run = module.reader(part)
        check = (_compare_images(job, run) if self_contained
                 else _compare(job, run, images.numpy(), expected.numpy()))
        record = dict(
            model=name, weights=weights, format=format, dtype=dtype,
            **_interface(module, job, self_contained),
            preprocessing=job.preprocessing.as_dict(), classes=job.classes, check=check,
            packages=_versions(FORMATS[format].packages),
            files={each.relative_to(folder).as_posix(): sha256_of(each)
                   for each in sorted(Path(folder).rglob('*')) if each.is_file()})
        Path(folder, f'{out.name}.json').write_text(json.dumps(record, indent=2) + '\n')
        _move(Path(folder), out)
    return record


def _check_self_contained(self_contained: bool, features: bool, topk: int) -> None:
    if self_contained and (features or topk < 1):
        raise UnknownOption('a self-contained file names classes, one or more: it goes neither '
                            'with features nor with topk 0')


def _checked_out(out: Path, suffix: str) -> Path:
    if suffix and out.suffix != suffix:
        raise OutputNotWritable(f'{out} does not end in {suffix}, as files of this format do')
    if suffix and out.is_dir():
        raise OutputNotWritable(f'{out} is a folder; give a file ending in {suffix}')
    if not suffix and out.exists() and not (out / 'saved_model.pb').is_file() and (
            not out.is_dir() or any(out.iterdir())):
        raise OutputNotWritable(f'{out} is there, and no SavedModel; give a new folder')
    check_writable(out.parent)
    return out


def _built(model, checkpoint, model_options) -> tuple[BaseModel, str, str]:
    """Return the model, its name, and what its weights are called."""
    if isinstance(model, BaseModel):
        if model_options or checkpoint is not None:
            raise TypeError('a model that is built takes no further weights or options; give its '
                            'name or config')
        return model, type(getattr(model, 'backbone', model)).__name__, 'as given'
    path = Path(model.filename or 'config.py' if isinstance(model, Config) else model)
    is_config = path.suffix == '.py'
    name = path.stem if is_config else str(model)
    if checkpoint is None:
        checkpoint = not is_config
    if checkpoint is False:
        print_log(f'no checkpoint: {name} is exported with random weights', 'current')
    built = get_model(model, checkpoint if isinstance(checkpoint, bool) else str(checkpoint),
                      **model_options)
    if isinstance(checkpoint, bool):
        return built, name, 'published' if checkpoint else 'random'
    return built, name, Path(checkpoint).name


def _check_size(model: BaseModel, preprocessing: Preprocessing) -> None:
    fixed = getattr(model.backbone, 'img_size', None)
    if fixed is not None and tuple(fixed) != preprocessing.image_size:
        raise BadConfig(
            f'{type(model.backbone).__name__} was built for images of {fixed[0]} x {fixed[1]}, '
            'which its weights fix, but would get {} x {}'.format(*preprocessing.image_size)
            + '; leave out image_size, or change the test pipeline')


def _compare(job: Job, run: Callable[[np.ndarray], np.ndarray], images: np.ndarray,
             expected: np.ndarray) -> dict:
    """Compare with the classifier itself, one image at a time and together."""
    singles = np.concatenate([run(images[number:number + 1]) for number in range(len(images))])
    runs = [singles, run(images)] if job.dynamic_batch else [singles]
    return compared(expected, runs, TOLERANCES[job.dtype], top1=not job.features)


def compared(expected: np.ndarray, runs: list[np.ndarray], tolerance: float,
             top1: bool = True) -> dict:
    """Return how far outputs (N, K) are from the expected ones.

    Raises:
        ExportMismatch: by more than `tolerance`, a part of the largest.
    """
    largest = float(np.abs(expected).max())
    difference = max(float(np.abs(outputs - expected).max()) for outputs in runs)
    if not difference <= tolerance * largest:  # nor if it is not a number
        raise ExportMismatch(
            f'the exported network is not the original: outputs differ by up to {difference:.3g} '
            f'where the largest is {largest:.3g} (at most {tolerance:g} of it is rounding)')
    check = dict(images=len(expected), max_difference=difference, largest=largest,
                 tolerance=tolerance)
    if top1:
        check['top1_agreement'] = min(
            float((outputs.argmax(1) == expected.argmax(1)).mean()) for outputs in runs)
    return check


def _compare_images(job: Job, run: Callable[[np.ndarray], tuple[list[str], np.ndarray]]) -> dict:
    """Compare scores with what the classifier says of the same raw images.

    Resizing rounds a few pixels in ten thousand otherwise, which some networks feel
    more than others. So the measure is how much the logarithms of the scores differ
    between images.
    """
    prepare = ImagePipeline(job.model, job.preprocessing.pipeline())
    images = [*sample_images(IMAGES), *odd_images()]
    expected, found, agreed = [], [], 0
    for image in images:
        data = job.model.data_preprocessor(default_collate(
            [prepare(np.ascontiguousarray(image[..., ::-1]))]), False)
        reference = reference_outputs(job.model, data['inputs'].cpu()).log_softmax(1)[0]
        names, scores = run(image)
        agreed += names[0] == job.class_name(int(reference.argmax()))
        labels = [job.class_names.index(name) for name in names]
        expected.append(reference.numpy())
        found.append((labels, np.log(np.maximum(scores, 1e-30))))
    between = float(np.std(expected, axis=0).mean())
    difference = float(np.mean([np.abs(scores - reference[labels]).mean()
                                for (labels, scores), reference in zip(found, expected,
                                                                       strict=True)]))
    tolerance = IMAGE_TOLERANCE * between + 1e-4
    if not difference <= tolerance:
        raise ExportMismatch(
            f'the exported file says other things of raw images than the original: logarithms of '
            f'scores differ by {difference:.3g} in the mean, and between images by {between:.3g}')
    return dict(images=len(images), mean_log_score_difference=difference,
                between_images=between, tolerance=tolerance,
                top1_agreement=agreed / len(images))


def _interface(module, job: Job, self_contained: bool) -> dict:
    if hasattr(module, 'interface'):
        return module.interface(job)
    if self_contained:
        return dict(inputs=dict(image=dict(shape=['height', 'width', 3], dtype='uint8')),
                    outputs={name: dict(shape=[job.best], dtype=dtype) for name, dtype in (
                        ('classes', 'string'), ('scores', 'float32'), ('labels', 'int64'))})
    batch = 'batch' if job.dynamic_batch else 1
    return dict(inputs=dict(images=dict(shape=[batch, *job.input_shape], dtype='float32')),
                outputs={job.output_name: dict(shape=[batch, job.width], dtype='float32')})


def _versions(modules: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for module in ('torch', *modules):
        try:
            versions[module] = version(module)
        except PackageNotFoundError:  # e.g. tensorflow-cpu
            versions[module] = getattr(__import__(module), '__version__', 'unknown')
    return versions


def _move(folder: Path, out: Path) -> None:
    """Put what lies in `folder` where `out` is, `out` itself last; all of it or nothing."""
    for path in folder.rglob('*'):
        if path.is_file():
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
    parts = sorted(folder.iterdir(), key=lambda part: part.name == out.name)
    before = folder / 'before'
    before.mkdir()
    moved = []
    try:
        for part in parts:
            target = out.parent / part.name
            if target.exists():
                os.replace(target, before / part.name)
            moved.append(target)
            os.replace(part, target)
    except BaseException:
        for target in moved:
            if target.exists():
                os.replace(target, folder / target.name)
            if (before / target.name).exists():
                os.replace(before / target.name, target)
        raise

"""Write a network in another format, and check that it still computes the same."""
import json
import os
import tempfile
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel

from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.deploy import fold_normalization as fold
from mmconvmixer.deploy.classes import classes_of
from mmconvmixer.deploy.compare import compare_outputs, compare_raw_images
from mmconvmixer.deploy.formats import FORMATS, load_format
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.network import check_is_classifier
from mmconvmixer.deploy.output import checked_out, move_into_place
from mmconvmixer.deploy.preprocessing import Preprocessing, preprocessing_of
from mmconvmixer.deploy.quantization.calibration import calibration_batches
from mmconvmixer.deploy.reference import reference_outputs
from mmconvmixer.deploy.sample_images import sample_batch
from mmconvmixer.errors import BadConfig, UnknownOption
from mmconvmixer.models import FeatureExtractor
from mmconvmixer.zoo.models import get_model


def export(model: str | Path | Config | BaseModel, format: str, out: str | Path, *,
           checkpoint: bool | str | Path | None = None, features: bool = False,
           dynamic_batch: bool | None = None, image_size: int | None = None,
           dtype: str = 'float32', calib: str | Path | None = None, self_contained: bool = False,
           topk: int = 5, fold_normalization: bool = False,
           runtime: str | os.PathLike | None = None, **model_options: Any) -> dict[str, Any]:
    """Write a classifier in another format, run it there, and compare the outputs.

    Args:
        model: see `get_model`; or a model from get_model; it is not modified.
        format: a key of `mmconvmixer.deploy.FORMATS`.
        out: the file, or for 'savedmodel', 'coreml' and 'web' the folder. What was there before is
            replaced after the comparison has passed.
        checkpoint: weights as in `get_model(pretrained=...)`. Default: the published
            ones if `model` is a name; for a config random ones, and the log says so.
        features: pooled features (N, embed_dims) instead of logits (N, classes).
        dynamic_batch: any number of images at a time, or one. Default: any number,
            except for 'openvino', 'litert', 'executorch', 'coreml', 'ncnn' and 'web'.
        image_size: height and width of the images in pixels. Default: the config's.
        dtype: of the weights: 'float32', 'float16' or 'bfloat16', if the format has it;
            inputs and outputs are float32 in any case. With 'int8', 'litert', 'mnn', 'web'
            and 'executorch' compute in int8, and 'coreml' has weights in int8; for int8 in
            other formats, see `mmconvmixer.deploy.quantize`.
        calib: folder of real images, for formats that compute in int8.
        self_contained: for 'onnx' and 'openvino': the file takes one raw uint8 image
            (H, W, 3) of any size, in RGB, and returns the names and scores of the best
            `topk` classes. A 'web' page always does.
        topk: see `self_contained`.
        fold_normalization: the file takes pixels, 0 to 255, because mean and standard
            deviation become part of the first convolution's weights.
        runtime: for 'web', the folder of an unpacked onnxruntime-web. Default: npm's.
        **model_options: see `get_model`.

    Returns:
        What is also written to `<out>.json`: names and shapes of inputs and outputs,
        preprocessing, classes, checksums, and how the outputs for real images compare
        with PyTorch's.

    Raises:
        UnknownOption: there is no such format or dtype, or not in this combination.
        MissingPackage: the format needs a package that is not installed.
        OutputNotWritable: see `checked_out`.
        BadConfig: the format cannot express the network or its preprocessing.
        ExportMismatch: the outputs differ by more than rounding; no file is left.
        MMConvMixerError: see `get_model`.
    """
    self_contained |= format in FORMATS and FORMATS[format].is_self_contained
    _check_self_contained(self_contained, features, topk)
    module = load_format(format)
    if runtime is not None and format != 'web':
        raise UnknownOption(f"runtime is for the format 'web', not for {format!r}")
    if dtype not in module.DTYPES:
        other = ('. Use tools/quantize.py for int8 in onnx and openvino' if dtype == 'int8' else '')
        raise UnknownOption(f'format {format} has no dtype {dtype!r}; it has '
                            f'{", ".join(module.DTYPES)}{other}')
    calibrated = dtype == 'int8' and hasattr(module, 'write_int8')
    if calibrated != (calib is not None):
        raise UnknownOption(f'format {format} in {dtype} needs '
                            f'{"" if calibrated else "no "}calib, a folder of real images')
    suffix = module.SUFFIX
    marker, beside = getattr(module, 'MARKER', ''), getattr(module, 'BESIDE', '')
    if self_contained:
        module = load_format(format, self_contained)
    out = checked_out(Path(out), suffix, marker, beside, getattr(module, 'CONTENTS', ()))
    built, name, weights = _built(model, checkpoint, model_options)
    features = features or isinstance(built, FeatureExtractor)
    check_is_classifier(built, features)
    _check_self_contained(self_contained, features, topk)
    if dynamic_batch is None:
        dynamic_batch = FORMATS[format].dynamic_batch
    if image_size is not None and image_size < 1:
        raise UnknownOption(f'image_size is {image_size}, expected a number of pixels')
    preprocessing = preprocessing_of(built, image_size)
    _check_size(built, preprocessing)
    images = torch.from_numpy(sample_batch(preprocessing))
    expected = reference_outputs(built, images, features)
    original, folded = built, {}
    if fold_normalization:
        folded = dict(folded_normalization=dict(mean=preprocessing.mean, std=preprocessing.std))
        built = fold.fold_normalization(built, image_size)
        preprocessing = preprocessing_of(built, image_size)
        images = torch.from_numpy(sample_batch(preprocessing))
    job = Job(built, preprocessing, None if features else classes_of(built, expected.shape[1]),
              features, dynamic_batch, dtype, topk, name, runtime)

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as folder:
        part = Path(folder, out.name)
        print_log(f'converts {name} to {format}; a large network takes minutes', 'current')
        if calibrated:
            module.write_int8(job, part, calibration_batches(built, calib))
        else:
            module.write(job, part)
        print_log(f'runs {out.name} and compares it with PyTorch', 'current')
        run = module.reader(part)
        check = (compare_raw_images(replace(job, model=original), run) if self_contained
                 else compare_outputs(job, run, images, expected,
                                      getattr(module, 'LARGEST_BATCH', 0)))
        if hasattr(module, 'computed_by'):
            check['computed_by'] = module.computed_by()
        record = dict(
            model=name, weights=weights, format=format, dtype=dtype,
            **_interface(module, job, self_contained),
            preprocessing=job.preprocessing.as_dict(), **folded, classes=job.classes, check=check,
            packages=_versions(FORMATS[format].packages),
            files={each.relative_to(folder).as_posix(): sha256_of(each)
                   for each in sorted(Path(folder).rglob('*')) if each.is_file()})
        Path(folder, f'{out.name}.json').write_text(json.dumps(record, indent=2) + '\n')
        move_into_place(Path(folder), out)
    return record


def _check_self_contained(self_contained: bool, features: bool, topk: int) -> None:
    if self_contained and (features or topk < 1):
        raise UnknownOption('a self-contained file names classes, one or more: it goes neither '
                            'with features nor with topk 0')


def _built(model: str | Path | Config | BaseModel, checkpoint: bool | str | Path | None,
           model_options: dict[str, Any]) -> tuple[BaseModel, str, str]:
    """Return the model, its name, and a name for its weights."""
    if isinstance(model, BaseModel):
        if model_options or checkpoint is not None:
            raise TypeError('weights and options cannot be given with a built model; give its '
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
        height, width = preprocessing.image_size
        raise BadConfig(
            f'{type(model.backbone).__name__} was built for images of {fixed[0]} x {fixed[1]}, '
            f'which its weights fix, but would get {height} x {width}; leave out image_size, or '
            'change the test pipeline')


def _interface(module: ModuleType, job: Job, self_contained: bool) -> dict[str, Any]:
    """Return names, shapes and dtypes of inputs and outputs."""
    if hasattr(module, 'interface'):
        return module.interface(job)
    if self_contained:
        return job.self_contained_interface()
    return job.interface(job.dynamic_batch)


def _versions(modules: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for module in ('torch', *modules):
        try:
            versions[module] = version(module)
        except PackageNotFoundError:  # for example, tensorflow is installed as tensorflow-cpu
            versions[module] = getattr(__import__(module), '__version__', 'unknown')
    return versions

"""Quantize a classifier to an int8 file, and measure its accuracy."""
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.model import BaseModel

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.config.portable import portable
from mmconvmixer.deploy.classes import classes_of
from mmconvmixer.deploy.formats import FORMATS
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.output import checked_out
from mmconvmixer.deploy.packages import require_packages
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization import nncf_int8, onnxruntime_int8
from mmconvmixer.deploy.quantization.accuracy import TestSet, top1
from mmconvmixer.deploy.quantization.calibration import COUNT, calibration_batches
from mmconvmixer.deploy.quantization.max_drop import keep_worst
from mmconvmixer.errors import AccuracyDrop, BadImage, UnknownOption

INT8_FORMATS = dict(openvino=nncf_int8, onnx=onnxruntime_int8)


def quantize(model: BaseModel, format: str, out: str | os.PathLike, calib: str | os.PathLike, *,
             count: int = COUNT, max_drop: float | None = None, data: str | None = None,
             evaluate: bool = True) -> dict[str, Any]:
    """Write a classifier in int8, and measure the loss of accuracy.

    Args:
        model: what `get_model` returned.
        format: 'openvino' (.xml, with a .bin beside it, for one image at a time) or
            'onnx' (for any number of images).
        out: the file; `<out>.json` is written beside it.
        calib: folder of real images, see `calibration_batches`.
        count: how many of them are used.
        max_drop: largest drop of top-1 in percentage points; layers stay in floating
            point until top-1 drops by no more.
        data: folder of the test set. Default: the config's.
        evaluate: measure top-1 on the config's test set, before and after.

    Returns:
        What is written to `<out>.json`: model, format, precision, inputs, outputs,
        preprocessing, classes, calibration (folder name, number of images), top1 (before,
        after; None if not measured), kept_in_float (layers), computed_here (how many
        layers the runtime computes in each precision on this machine), files (sha256).

    Raises:
        UnknownOption: there is no int8 in this format, or max_drop without evaluate.
        MissingPackage: the format's packages are not installed.
        OutputNotWritable: see `checked_out`.
        DatasetNotFound: the folder `calib` or the test set does not exist.
        BadImage: `calib` has no image that can be used.
        AccuracyDrop: no choice of layers meets max_drop; nothing is written.
    """
    if format not in INT8_FORMATS:
        raise UnknownOption(f'format {format!r} has no int8; these have: '
                            f'{", ".join(INT8_FORMATS)}')
    if max_drop is not None and not (evaluate and max_drop >= 0):
        raise UnknownOption(f'max_drop is {max_drop}: expected points of top-1, 0 or more, and '
                            'a test set to measure them on')
    if count < 1:
        raise UnknownOption(f'count is {count}: calibration needs at least one image')
    method = INT8_FORMATS[format]
    require_packages(f'int8 for {format}', 'deploy', *method.PACKAGES)
    out = checked_out(Path(out), method.SUFFIX, beside=method.BESIDE)
    test_set = TestSet(model, data) if evaluate else None
    batches = calibration_batches(model, calib, count)
    job = Job(model, preprocessing_of(model), dynamic_batch=True)
    job = replace(job, classes=classes_of(model, job.width))
    if batches[0].shape[1:] != job.input_shape:
        raise BadImage(f'the calibration images become {batches[0].shape[1:]}, but the network '
                       f'takes {job.input_shape}: the test pipeline does not resize them')

    float_network = method.prepared(job)
    network, accuracy, kept = method.quantized(float_network, batches), None, []
    if test_set is not None:
        accuracy = top1(dict(before=method.float_runner(float_network),
                             after=method.runner(network)), test_set)

    def fits(candidate: Any) -> bool:
        accuracy.update(top1(dict(after=method.runner(candidate)), test_set))
        return accuracy['before'] - accuracy['after'] <= max_drop

    if max_drop is not None and accuracy['before'] - accuracy['after'] > max_drop:
        network, kept = keep_worst(
            method.layers(float_network), partial(method.quantized, float_network), method.runner,
            method.float_runner(float_network), batches, fits)
        if not fits(network):
            raise AccuracyDrop(
                f'top-1 drops from {accuracy["before"]:.2f} to {accuracy["after"]:.2f}, by more '
                f'than {max_drop:g}, even with all layers in floating point')
    files = method.save(network, out)
    record = dict(
        model=portable(getattr(model._config, 'filename', None) or 'config'), format=format,
        precision='int8', **job.interface(FORMATS[format].dynamic_batch),
        preprocessing=job.preprocessing.as_dict(), classes=job.classes,
        calibration=dict(folder=Path(calib).resolve().name, images=len(batches)),
        top1=accuracy, kept_in_float=kept, computed_here=method.layers_by_precision(network),
        files={path.name: sha256_of(path) for path in files})
    with atomic_write(f'{out}.json') as part:
        part.write_text(json.dumps(record, indent=2) + '\n')
    return record

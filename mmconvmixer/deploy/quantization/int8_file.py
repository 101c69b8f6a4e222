"""From a classifier to an int8 file whose accuracy is known."""
import json
import logging
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmengine.logging import print_log
from mmengine.model import BaseModel

from mmconvmixer._support.atomic_write import atomic_write, check_writable
from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.config.portable import portable
from mmconvmixer.deploy.classes import classes_of
from mmconvmixer.deploy.formats import FORMATS
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.packages import require_packages
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.processor import has_int8
from mmconvmixer.deploy.quantization import nncf_int8, onnxruntime_int8
from mmconvmixer.deploy.quantization.accuracy import TestSet, top1
from mmconvmixer.deploy.quantization.calibration import COUNT, calibration_batches
from mmconvmixer.deploy.quantization.max_drop import keep_worst
from mmconvmixer.errors import AccuracyDrop, BadImage, OutputNotWritable, UnknownOption

INT8_FORMATS = dict(openvino=nncf_int8, onnx=onnxruntime_int8)


def quantize(model: BaseModel, format: str, out: str | os.PathLike, calib: str | os.PathLike, *,
             count: int = COUNT, max_drop: float | None = None, data: str | None = None,
             evaluate: bool = True) -> dict:
    """Write a classifier in int8, and measure what that costs.

    Args:
        model: what `get_model` returned.
        format: 'openvino' (.xml, with a .bin beside it, for one image at a time) or
            'onnx' (for any number).
        out: the file; `<out>.json` is written beside it.
        calib: folder of real images, see `calibration_batches`.
        count: how many of them.
        max_drop: of top-1, in points: layers stay in floating point until it fits.
        data: folder of the test set. Default: the config's.
        evaluate: measure top-1 on the config's test set, before and after.

    Returns:
        What is written to `<out>.json`: model, format, precision, shape of the input,
        preprocessing, classes, calibration (folder name, images), top1 (before,
        after; None if not measured), kept_in_float (layers), files (sha256).

    Raises:
        UnknownOption: a format that there is not, or max_drop without evaluate.
        MissingPackage: the format's packages are not installed.
        DatasetNotFound, BadImage: see `calibration_batches` and `TestSet`.
        AccuracyDrop: no choice of layers fits max_drop; nothing is written.
    """
    if format not in INT8_FORMATS:
        raise UnknownOption(f'format {format!r} has no int8; these have: '
                            f'{", ".join(INT8_FORMATS)}')
    if max_drop is not None and not (evaluate and max_drop >= 0):
        raise UnknownOption(f'max_drop is {max_drop}: it takes points of top-1 from 0 on, and a '
                            'test set to measure them on')
    if count < 1:
        raise UnknownOption(f'count is {count}: calibration takes one image at least')
    method = INT8_FORMATS[format]
    require_packages(f'int8 for {format}', 'deploy', *method.PACKAGES)
    out = _checked_out(Path(out), method.SUFFIX)
    test_set = TestSet(model, data) if evaluate else None
    batches = calibration_batches(model, calib, count)
    job = Job(model, preprocessing_of(model), dynamic_batch=True)
    job = replace(job, classes=classes_of(model, job.width))
    if batches[0].shape[1:] != job.input_shape:
        raise BadImage(f'the calibration images become {batches[0].shape[1:]}, the network '
                       f'takes {job.input_shape}: the test pipeline does not resize them')
    if not has_int8():
        print_log('this processor has no int8 instructions (VNNI): the file will be slow here',
                  'current', logging.WARNING)

    float_network = method.prepared(job)
    network, accuracy, kept = method.quantized(float_network, batches), None, []
    if test_set is not None:
        accuracy = top1(dict(before=method.float_runner(float_network),
                             after=method.runner(network)), test_set)

    def fits(candidate) -> bool:
        accuracy.update(top1(dict(after=method.runner(candidate)), test_set))
        return accuracy['before'] - accuracy['after'] <= max_drop

    if max_drop is not None and accuracy['before'] - accuracy['after'] > max_drop:
        network, kept = keep_worst(
            method.layers(float_network), partial(method.quantized, float_network), method.runner,
            method.float_runner(float_network), batches, fits)
        if not fits(network):
            raise AccuracyDrop(
                f'top-1 falls from {accuracy["before"]:.2f} to {accuracy["after"]:.2f}, by more '
                f'than {max_drop:g}, even with all layers in floating point')
    files = method.save(network, out)
    batch = 'batch' if FORMATS[format].dynamic_batch else 1
    record = dict(
        model=portable(getattr(model._config, 'filename', None) or 'config'), format=format,
        precision='int8',
        inputs=dict(images=dict(shape=[batch, *job.input_shape], dtype='float32')),
        preprocessing=job.preprocessing.as_dict(), classes=job.classes,
        calibration=dict(folder=Path(calib).resolve().name, images=len(batches)),
        top1=accuracy, kept_in_float=kept,
        files={path.name: sha256_of(path) for path in files})
    with atomic_write(f'{out}.json') as part:
        part.write_text(json.dumps(record, indent=2) + '\n')
    return record


def _checked_out(out: Path, suffix: str) -> Path:
    if out.suffix != suffix:
        raise OutputNotWritable(f'{out} does not end in {suffix}, as files of this format do')
    if out.is_dir():
        raise OutputNotWritable(f'{out} is a folder; give a file ending in {suffix}')
    check_writable(out.parent)
    return out

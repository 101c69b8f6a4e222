"""From a classifier to an int8 file whose accuracy is known."""
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmengine.model import BaseModel

from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.config import portable
from mmconvmixer.deploy.classes import classes_of
from mmconvmixer.deploy.formats import FORMATS
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.packages import require_packages
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantisation import nncf_int8, onnxruntime_int8
from mmconvmixer.deploy.quantisation.accuracy import TestSet, top1
from mmconvmixer.deploy.quantisation.calibration import COUNT, calibration_batches
from mmconvmixer.deploy.quantisation.max_drop import int8_graph_within
from mmconvmixer.errors import AccuracyDrop, BadImage, OutputNotWritable, UnknownOption
from mmconvmixer.files import check_writable, written_whole


def quantise(model: BaseModel, format: str, out: str | os.PathLike, calib: str | os.PathLike, *,
             count: int = COUNT, max_drop: float | None = None, data: str | None = None,
             image_size: int | None = None, evaluate: bool = True) -> dict:
    """Write a classifier in int8, and measure what that costs.

    Args:
        model: what `get_model` returned.
        format: 'openvino' (.xml, with a .bin beside it, for one picture at a time) or
            'onnx' (for any number).
        out: the file; `<out>.json` is written beside it.
        calib: folder of real pictures, see `calibration_batches`.
        count: how many of them.
        max_drop: of top-1, in points: layers stay in floating point until it fits.
        data: folder of the test set. Default: the config's.
        image_size: height and width of the pictures. Default: the config's.
        evaluate: measure top-1 on the config's test set, before and after.

    Returns:
        What is written to `<out>.json`: model, format, precision, shape of the input,
        preprocessing, classes, calibration (folder name, pictures), top1 (before,
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
        raise UnknownOption(f'count is {count}: calibration takes one picture at least')
    method = INT8_FORMATS[format]
    require_packages(f'int8 for {format}', 'deploy', *method.packages)
    out = _checked_out(Path(out), method.suffix)
    test_set = TestSet(model, data) if evaluate else None
    batches = calibration_batches(model, calib, count)
    job = Job(model, preprocessing_of(model, image_size), classes_of(model), dynamic_batch=True)
    if batches[0].shape[1:] != job.input_shape:
        raise BadImage(f'the calibration pictures become {batches[0].shape[1:]}, the network '
                       f'takes {job.input_shape}: the test pipeline does not resize them')
    warn_without_int8()

    made = method.make(job, batches, test_set, max_drop)
    if max_drop is not None and made.top1['before'] - made.top1['after'] > max_drop:
        raise AccuracyDrop(
            f'top-1 falls from {made.top1["before"]:.2f} to {made.top1["after"]:.2f}, by more than '
            f'{max_drop:g}, even with {", ".join(made.kept_in_float) or "nothing"} in floating '
            'point; calibrate on other or more pictures')
    files = made.save(out)
    batch = 'batch' if FORMATS[format].dynamic_batch else 1
    record = dict(
        model=portable(getattr(model._config, 'filename', None) or 'config'), format=format,
        precision='int8',
        inputs=dict(images=dict(shape=[batch, *job.input_shape], dtype='float32')),
        preprocessing=job.preprocessing.as_dict(), classes=job.classes,
        calibration=dict(folder=Path(calib).resolve().name, pictures=len(batches)),
        top1=made.top1, kept_in_float=made.kept_in_float,
        files={path.name: sha256_of(path) for path in files})
    with written_whole(f'{out}.json') as part:
        part.write_text(json.dumps(record, indent=2) + '\n')
    return record


@dataclass(frozen=True)
class Made:
    """A network in int8, not yet in its place.

    Attributes:
        top1: in percent, 'before' and 'after'; None if not measured.
        kept_in_float: layers.
        save: path -> files written.
    """
    top1: dict[str, float] | None
    kept_in_float: list[str]
    save: Callable[[Path], list[Path]]


@dataclass(frozen=True)
class Method:
    """How a format's int8 is made.

    Attributes:
        suffix: of the file.
        packages: modules that are imported.
        make: job, batches, test set or None, max_drop or None -> `Made`.
    """
    suffix: str
    packages: tuple[str, ...]
    make: Callable[[Job, list[np.ndarray], TestSet | None, float | None], Made]


def warn_without_int8() -> None:
    """Say so, in one line, where the processor has no instructions for int8."""
    info = Path('/proc/cpuinfo')
    if not info.is_file():
        return
    flags = next((line for line in info.read_text().splitlines() if line.startswith('flags')), '')
    if flags and not {'avx512_vnni', 'avx_vnni', 'amx_int8'} & set(flags.split()):
        print_log('this processor has no int8 instructions (VNNI): the file will be slow here',
                  'current', logging.WARNING)


def _make_openvino(job: Job, batches: list[np.ndarray], test_set: TestSet | None,
                   max_drop: float | None) -> Made:
    model, figures = nncf_int8.quantise_openvino(job, batches), None
    if test_set is not None:
        figures = top1(dict(before=nncf_int8.float_runner(job), after=nncf_int8.runner(model)),
                       test_set)
        if max_drop is not None and figures['before'] - figures['after'] > max_drop:
            model = nncf_int8.quantise_openvino_within(job, batches, test_set, max_drop)
            figures |= top1(dict(after=nncf_int8.runner(model)), test_set)
    if not FORMATS['openvino'].dynamic_batch:
        model.reshape([1, *job.input_shape])
    return Made(figures, nncf_int8.kept_in_float(model), partial(nncf_int8.save, model))


def _make_onnx(job: Job, batches: list[np.ndarray], test_set: TestSet | None,
               max_drop: float | None) -> Made:
    graph = onnxruntime_int8.prepared_graph(job)
    quantised, figures, kept = onnxruntime_int8.int8_graph(graph, batches), None, []
    if test_set is not None:
        figures = top1(dict(before=onnxruntime_int8.runner(graph),
                            after=onnxruntime_int8.runner(quantised)), test_set)
        if max_drop is not None and figures['before'] - figures['after'] > max_drop:
            quantised, kept, figures['after'] = int8_graph_within(
                graph, batches, test_set, max_drop, figures['before'])
    return Made(figures, kept, partial(onnxruntime_int8.save, quantised))


INT8_FORMATS = dict(openvino=Method('.xml', nncf_int8.PACKAGES, _make_openvino),
                    onnx=Method('.onnx', onnxruntime_int8.PACKAGES, _make_onnx))


def _checked_out(out: Path, suffix: str) -> Path:
    if out.suffix != suffix:
        raise OutputNotWritable(f'{out} does not end in {suffix}, as files of this format do')
    if out.is_dir():
        raise OutputNotWritable(f'{out} is a folder; give a file ending in {suffix}')
    check_writable(out.parent)
    return out

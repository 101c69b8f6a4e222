"""A web page: a folder for any static host, whose page classifies images in the browser.

It holds a self-contained ONNX file, onnxruntime-web, and a page of one style sheet and three
scripts: for what is on the page, for its maps, and for what is computed in the background.
"""
import json
from collections.abc import Callable, Iterable
from importlib.resources import as_file, files
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import numpy as np

from mmconvmixer.deploy.formats import onnx_self_contained
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import Preprocessing
from mmconvmixer.deploy.web.activation_maps import add_maps, grid_of
from mmconvmixer.deploy.web.runtime import INTEGRITY, PACKAGE, VERSION, copy_runtime

if TYPE_CHECKING:
    import onnx

SUFFIX = ''
MARKER = 'classifier.json'  # what the page reads first
DTYPES = ('float32', 'float16', 'int8')
PAGE = ('index.html', 'style.css', 'page.js', 'map.js', 'worker.js')
MODEL, RUNTIME = 'model.onnx', 'runtime'
# A folder with anything else is not replaced.
CONTENTS = (MARKER, *PAGE, MODEL, RUNTIME)


def write(job: Job, path: Path) -> None:
    """Write the folder, which does not exist yet.

    Raises:
        UnknownOption, HashMismatch, MissingPackage, DownloadError: see `onnx_self_contained.write`
            and `copy_runtime`.
    """
    steps = onnx_self_contained.checked_preprocessing(job)
    _write(job, steps, path, onnx_self_contained.network_of(job))


def write_int8(job: Job, path: Path, batches: Iterable[np.ndarray]) -> None:
    """Write the folder, with the network in int8.

    Args:
        job: see `write`.
        path: see `write`.
        batches: real images (N, C, H, W) float32, normalized.
    """
    from mmconvmixer.deploy.quantization import onnxruntime_int8
    steps = onnx_self_contained.checked_preprocessing(job)
    network = onnxruntime_int8.quantized(onnxruntime_int8.prepared(job), batches)
    _write(job, steps, path, network)


def reader(path: Path) -> Callable[[np.ndarray], tuple[list[str], np.ndarray]]:
    """Return image (H, W, 3) -> names and scores of the best classes."""
    return onnx_self_contained.reader(path / MODEL)


def interface(job: Job) -> dict[str, Any]:
    """Return names, shapes and dtypes of inputs and outputs, and the page's runtime."""
    found, grid = job.self_contained_interface(), grid_of(job)
    if grid is not None:
        found['outputs']['maps'] = dict(shape=[job.best, *grid], dtype='float32')
    return dict(**found, runtime=dict(package=PACKAGE, version=VERSION, integrity=INTEGRITY))


def computed_by() -> str:
    """Return what `reader` runs: the page's runtime needs a browser."""
    return 'onnxruntime'


def _write(job: Job, steps: Preprocessing, path: Path, network: 'onnx.ModelProto') -> None:
    import onnx
    path.mkdir()
    copy_runtime(path / RUNTIME, job.runtime)
    model, grid = onnx_self_contained.with_images(job, network), grid_of(job)
    if grid is not None:
        add_maps(model, job, grid)
    onnx.save(model, path / MODEL)
    onnx.checker.check_model(path / MODEL, full_check=True)
    for name in PAGE:
        with as_file(files('mmconvmixer.deploy.web').joinpath('page').joinpath(name)) as source:
            copyfile(source, path / name)
    (path / MARKER).write_text(json.dumps(dict(
        name=job.name, dtype=job.dtype, classes=job.width, grid=grid, image_size=steps.image_size,
        resize=steps.resize, resize_to=steps.resize_to, runtime=f'{PACKAGE} {VERSION}'),
        indent=2) + '\n')

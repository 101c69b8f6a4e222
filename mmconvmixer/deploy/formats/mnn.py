"""MNN: one `.mnn` file, for phones and small boards, converted from ONNX.

Inputs and outputs of int8 files are also float32.
"""
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mmconvmixer.deploy.formats import onnx_file
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import Preprocessing
from mmconvmixer.errors import BadConfig

if TYPE_CHECKING:
    import onnx

SUFFIX = '.mnn'
DTYPES = ('float32', 'float16', 'int8')
# Of the calibration images in one batch: MNN keeps every feature map of a batch in memory.
PIXELS = 2 ** 19


def write(job: Job, path: Path) -> None:
    """Write the network in float32, or with weights in float16.

    Raises:
        BadConfig: MNN's converter fails; or the job is in int8, which needs images: call
            `write_int8`.
    """
    job.check_dtype('float32', 'float16')
    with tempfile.TemporaryDirectory() as folder:
        path.write_bytes(_converted(job, Path(folder)).read_bytes())


def write_int8(job: Job, path: Path, batches: Iterable[np.ndarray]) -> None:
    """Write the network with int8 convolutions, for any number of images at a time.

    Args:
        job: what is exported; its dtype and dynamic_batch are ignored.
        path: the file.
        batches: images like those in use, (N, C, H, W) float32, normalized, from which
            the range of every activation is measured.

    Raises:
        BadConfig: MNN's tools fail, or the job does not say how images are prepared.
    """
    preprocessing = job.preprocessing
    if preprocessing is None:
        raise BadConfig('MNN calibrates on pixels, so the job needs the preprocessing of images')
    height, width = preprocessing.image_size
    with tempfile.TemporaryDirectory() as folder:
        _converted(replace(job, dtype='float32', dynamic_batch=True), Path(folder))
        images = Path(folder, 'images')
        images.mkdir()
        count = _save_images(images, preprocessing, batches)
        # 'KL' and 'ADMM', MNN's other methods, do not know GELU.
        Path(folder, 'int8.json').write_text(json.dumps(dict(
            path='images/', input_type='image', used_sample_num=count, width=width, height=height,
            format=preprocessing.channels, mean=preprocessing.mean,
            normal=[1 / value for value in preprocessing.std], feature_quantize_method='EMA',
            batch_size=min(count, max(1, PIXELS // (height * width))),
            weight_quantize_method='MAX_ABS')))
        path.write_bytes(_tool(folder, 'mnnquant', 'net.mnn', 'int8.mnn', 'int8.json',
                               makes='int8.mnn').read_bytes())


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W) -> outputs (N, classes or features), in float32."""
    import MNN
    session = MNN.Interpreter(str(path))
    names = list(session.getSessionOutputAll(session.createSession({})))
    network = MNN.nn.load_module_from_file(
        str(path), ['images'], names, precision_mode=MNN.expr.PrecisionMode.High)

    def run(images: np.ndarray) -> np.ndarray:
        source = MNN.expr.const(np.ascontiguousarray(images), list(images.shape), MNN.expr.NCHW)
        result, = network.forward([source])
        return np.array(MNN.expr.convert(result, MNN.expr.NCHW).read())
    return run


def _converted(job: Job, folder: Path) -> Path:
    """Return the path of a file that MNN's converter made in this folder."""
    import onnx
    source = folder / 'net.onnx'
    onnx_file.write(replace(job, dtype='float32'), source)
    model = onnx.load(source)
    _write_out_gelu(model.graph)
    onnx.save(model, source)
    return _tool(folder, 'mnnconvert', '-f', 'ONNX', '--modelFile', source.name, '--MNNModel',
                 'net.mnn', '--bizCode', 'MNN', '--useGeluApproximation', '0',
                 *(['--fp16'] if job.dtype == 'float16' else []), makes='net.mnn')


def _save_images(folder: Path, preprocessing: Preprocessing,
                 batches: Iterable[np.ndarray]) -> int:
    """Write normalized images as the pixels they were, and return their number."""
    count = 0
    for count, image in enumerate((image for batch in batches for image in batch), 1):
        pixels = preprocessing.pixels_of(image).transpose(1, 2, 0)
        if preprocessing.channels == 'BGR':
            pixels = pixels[..., ::-1]
        Image.fromarray(pixels.squeeze()).save(folder / f'{count}.png')
    return count


def _write_out_gelu(graph: 'onnx.GraphProto') -> None:
    """Replace each exact Gelu by its formula.

    MNN computes ONNX's operator by the tanh approximation, whatever its attribute says,
    but knows this formula and computes it exactly with --useGeluApproximation 0.
    """
    from onnx import helper, numpy_helper
    constants = dict(gelu_scale=math.sqrt(0.5), gelu_one=1, gelu_half=0.5)
    nodes = []
    for node in graph.node:
        if node.op_type != 'Gelu' or any(each.name == 'approximate' and each.s == b'tanh'
                                         for each in node.attribute):
            nodes.append(node)
            continue
        (x,), (y,) = node.input, node.output
        nodes += [helper.make_node(kind, inputs, [output]) for kind, inputs, output in (
            ('Mul', [x, 'gelu_scale'], f'{y}_scaled'), ('Erf', [f'{y}_scaled'], f'{y}_erf'),
            ('Add', [f'{y}_erf', 'gelu_one'], f'{y}_cdf'), ('Mul', [x, f'{y}_cdf'], f'{y}_twice'),
            ('Mul', [f'{y}_twice', 'gelu_half'], y))]
    if len(nodes) != len(graph.node):
        graph.initializer.extend(numpy_helper.from_array(np.float32(value), name)
                                 for name, value in constants.items())
        del graph.node[:]
        graph.node.extend(nodes)


def _tool(folder: str | Path, name: str, *args: str, makes: str) -> Path:
    """Run one of MNN's tools in a process of its own; return the path of what it makes.

    `import MNN.tools` would run pip and then report to a server, so this calls what that
    package calls. `_tools` is a module of MNN's wheel beside the package.
    """
    code = f'import sys, _tools; _tools.{name}(sys.argv)'
    done = subprocess.run([sys.executable, '-c', code, *args], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors='replace')
    made = Path(folder, makes)
    if done.returncode or not made.is_file():
        said = done.stdout.replace('\r', '\n').strip().splitlines()[-1:]
        raise BadConfig(f"MNN's {name} fails on this network (exit code {done.returncode}): "
                        f'{"".join(said) or "it says nothing"}')
    return made

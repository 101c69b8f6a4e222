"""ncnn: a `.param` file with the graph and a `.bin` file with the weights.

It runs on phones and small boards. pnnx converts from ONNX. One image (C, H, W) is computed
at a time.
"""
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmconvmixer.deploy.formats import onnx_file
from mmconvmixer.deploy.job import Job
from mmconvmixer.errors import BadConfig, UnknownOption

SUFFIX = '.param'
BESIDE = '.bin'  # the weights
DTYPES = ('float32', 'float16')


def write(job: Job, path: Path) -> None:
    """Write `path` (.param) and the .bin file beside it.

    Raises:
        UnknownOption: more than one image at a time is asked for.
        BadConfig: ncnn has no layer for a part of the network.
    """
    if job.dynamic_batch:
        raise UnknownOption('ncnn computes one image at a time; leave out --dynamic-batch '
                            '(dynamic_batch=True)')
    with tempfile.TemporaryDirectory() as folder:  # pnnx writes eight files, ncnn needs two
        source = Path(folder, 'net.onnx')
        onnx_file.write(replace(job, dtype='float32'), source)
        graph = _converted(source, job)
        _check_layers(graph)
        weights = source.with_suffix('.ncnn.bin').read_bytes()
    # pnnx calls them in0 and out0.
    for old, new in (('in0', 'images'), ('out0', job.output_name)):
        graph = re.sub(rf'(?<= ){old}(?=\s)', new, graph)
    path.write_text(graph)
    path.with_suffix('.bin').write_bytes(weights)


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W) -> outputs (N, classes or features), in float32.

    By default, ncnn computes in float16 where the processor has instructions for it,
    whatever the file holds; here it does not.

    Raises:
        BadConfig: ncnn does not load the files.
    """
    import ncnn
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix('.bin'))):
        raise BadConfig(f'ncnn does not load {path} with the .bin file beside it')
    (source,), (result,) = net.input_names(), net.output_names()

    def run(images: np.ndarray) -> np.ndarray:
        outputs = []
        for image in images:
            extractor, array = net.create_extractor(), np.ascontiguousarray(image)
            extractor.input(source, ncnn.Mat(array))  # uses the array's memory, but does not own it
            _, output = extractor.extract(result)
            outputs.append(np.array(output).ravel())
        return np.stack(outputs)
    return run


def interface(job: Job) -> dict:
    """Return names, shapes and dtypes of inputs and outputs: ncnn's have no batch axis."""
    return dict(inputs=dict(images=dict(shape=[*job.input_shape], dtype='float32')),
                outputs={job.output_name: dict(shape=[job.width], dtype='float32')})


def _converted(source: Path, job: Job) -> str:
    """Convert an ONNX file with files beside it, and return ncnn's graph."""
    import pnnx
    shape = ','.join(str(size) for size in (1, *job.input_shape))
    done = subprocess.run(
        [pnnx.EXEC_PATH, source.name, f'inputshape=[{shape}]f32',
         f'fp16={int(job.dtype == "float16")}'],
        cwd=source.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors='replace')
    graph = source.with_suffix('.ncnn.param')
    if done.returncode or not graph.is_file():
        said = done.stdout.strip().splitlines()[-1:]
        raise BadConfig(f'pnnx does not convert this network (exit code {done.returncode}): '
                        f'{"".join(said) or "it says nothing"}')
    return graph.read_text()


def _check_layers(graph: str) -> None:
    """Refuse what pnnx leaves in the graph, with exit code 0, although ncnn has no such layer."""
    import ncnn
    layers = {line.split()[0] for line in graph.splitlines()[2:]}
    unknown = sorted(layer for layer in layers if ncnn.layer_to_index(layer) < 0)
    if unknown:
        raise BadConfig(f'ncnn has no layer for a part of this network: {", ".join(unknown)}')

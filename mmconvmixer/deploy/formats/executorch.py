"""ExecuTorch: one `.pte` file for phones, in which XNNPACK computes everything.

Inputs are images (N, C, H, W) float32, normalized. Inputs and outputs of int8 files are also
float32.
"""
import operator
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmconvmixer.deploy.formats.plain_program import plain_program
from mmconvmixer.deploy.job import Job
from mmconvmixer.errors import BadConfig

SUFFIX = '.pte'
DTYPES = ('float32', 'int8')

# Memory for this many images is reserved when the file is loaded. The lowering depends on whether
# there are 16 images or more and takes the number for fixed where 16 are the most.
LARGEST_BATCH = 32

aten = torch.ops.aten


def write(job: Job, path: Path) -> None:
    """Write the network in float32.

    Raises:
        BadConfig: XNNPACK does not have one of the network's operators; or the job is in
            int8, which needs images: call `write_int8`.
    """
    job.check_dtype('float32')
    _lower(job.network, job, path)


def write_int8(job: Job, path: Path, batches: Iterable[np.ndarray]) -> None:
    """Write the network with its convolutions and matrix products in int8.

    Args:
        job: what is exported; its dtype is ignored.
        path: the file.
        batches: images like those in use, (N, C, H, W) float32, normalized, from which
            the range of every activation is measured. A hundred images are enough.

    Raises:
        BadConfig: see `write`.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    # Everything else stays in float32: one scale for all channels is too coarse for norms.
    quantizer, per_channel = XNNPACKQuantizer(), get_symmetric_quantization_config(
        is_per_channel=True)
    for kind in (aten.conv2d.default, aten.linear.default):
        quantizer.set_operator_type(kind, per_channel)
    layers = {aten.conv2d.padding: _convolution}  # which the quantizer would leave out
    network = plain_program(job.network, _example(job), layers).module(check_guards=False)
    observed = prepare_pt2e(network, quantizer)
    with torch.no_grad():
        for batch in batches:
            for image in torch.from_numpy(batch):
                observed(image[None])
    _lower(convert_pt2e(observed), job, path)


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W), normalized -> outputs (N, classes or features)."""
    from executorch.runtime import Runtime
    program = Runtime.get().load_program(path)
    method = program.load_method('forward')

    def run(images: np.ndarray) -> np.ndarray:
        output, = method.execute([torch.from_numpy(np.ascontiguousarray(images))])
        return output.numpy().copy()  # the next call writes to the same memory
    return run


def interface(job: Job) -> dict[str, Any]:
    """Return names, shapes and dtypes of inputs and outputs, and the largest batch."""
    return job.interface(job.dynamic_batch) | dict(largest_batch=len(_example(job)))


def _example(job: Job) -> Tensor:
    return torch.zeros(LARGEST_BATCH if job.dynamic_batch else 1, *job.input_shape)


def _lower(network: nn.Module, job: Job, path: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    program = plain_program(network, _example(job), {
        aten.layer_norm.default: _layer_norm, aten.mean.dim: _mean, aten.view.default: _view})
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    graph = lowered.exported_program().graph
    delegate = torch.ops.higher_order.executorch_call_delegate
    left = {node.name for node in graph.nodes if node.op == 'call_function'
            and node.target not in (delegate, operator.getitem)}
    if left:
        raise BadConfig(f'XNNPACK cannot compute this network whole: {", ".join(sorted(left))} '
                        'would be left to other kernels; export to another format')
    path.write_bytes(lowered.to_executorch().buffer)


def _layer_norm(x: Tensor, shape: list[int], weight: Tensor, bias: Tensor, eps: float = 1e-5,
                *_: bool) -> Tensor:
    """Spell out a norm over the channels of (N, tokens, channels), which XNNPACK does not have."""
    if x.dim() != 3 or len(shape) != 1:
        return NotImplemented
    centered = x - x.mean(2, keepdim=True)
    return centered * torch.rsqrt((centered * centered).mean(2, keepdim=True) + eps) * weight + bias


def _mean(x: Tensor, dim: list[int] | None, keepdim: bool = False) -> Tensor:
    """Compute means of (N, rows, columns) as XNNPACK does: over the last two of four dimensions."""
    if x.dim() != 3 or dim != [2] or not keepdim:
        return NotImplemented
    return x.unsqueeze(3).mean((2, 3), keepdim=True).view(-1, x.shape[1], 1)


def _view(x: Tensor, shape: list[int]) -> Tensor:
    """Let the runtime find the number of images; XNNPACK takes no shape that names it."""
    if isinstance(shape[0], int):
        return NotImplemented
    return x.view(-1, *shape[1:])


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: tuple = (1, 1),
                 padding: str = 'valid', dilation: tuple = (1, 1), groups: int = 1) -> Tensor:
    """Write 'same' padding in numbers."""
    around = [step * (size - 1) if padding == 'same' else 0
              for size, step in zip(weight.shape[2:], dilation, strict=True)]
    before = [total // 2 for total in around]
    if any(total % 2 for total in around):
        (top, left), (height, width) = before, around
        x, before = F.pad(x, (left, width - left, top, height - top)), [0, 0]
    return F.conv2d(x, weight, bias, stride, before, dilation, groups)

"""A network's graph in the operators and the memory layout that other converters take.

The network computes channels-last and in few passes over memory, which suits PyTorch on a
processor. Other converters take the layout of the weights as they find it, and do not have every
operator. So everything here is contiguous, a multiply-add is a product and a sum, and the tanh in
an approximate GELU is written out.
"""
import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

aten = torch.ops.aten


def plain_program(network: nn.Module, images: Tensor,
                  spelled_out: Mapping[Any, Callable] | None = None
                  ) -> torch.export.ExportedProgram:
    """Return the program of a network in plain operators.

    Args:
        network: images (N, C, H, W) -> outputs, in eval mode; it is not changed.
        images: an example with the largest N. The program takes 1 .. N images.
        spelled_out: functions that replace further operators.
    """
    network = deepcopy(network)
    for tensor in (*network.parameters(), *network.buffers()):
        # Memory in the order of the shape. `contiguous` would keep a depthwise weight (C, 1, k, k)
        # with the strides of channels-last, because these are contiguous, too.
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
    # The example is the largest batch: where torch looks at the batch size, it limits the range to
    # the side on which the example lies, and runtimes plan memory for the upper end of the range.
    shapes = ({0: torch.export.Dim('batch', min=1, max=len(images))},) if len(images) > 1 else None
    with torch.no_grad():
        program = torch.export.export(network, (images,), dynamic_shapes=shapes)
        return program.run_decompositions({**_SPELLED_OUT, **(spelled_out or {})})


def _clone(x: Tensor, **_: Any) -> Tensor:
    """Leave out that x becomes channels-last."""
    return x


def _addcmul(start: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return start + one * other


def _gelu(x: Tensor, *, approximate: str = 'none') -> Tensor:
    """Spell out the approximation by tanh, which two converters read as the exact GELU."""
    if approximate == 'none':
        return NotImplemented
    half = 0.5 * x
    return half + half * torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))


_SPELLED_OUT = {
    aten.clone.default: _clone,
    aten.addcmul.default: _addcmul,
    aten.gelu.default: _gelu,
}

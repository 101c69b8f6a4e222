"""The operations of a Core ML file (MIL), computed with PyTorch where Core ML does not run.

It covers what ConvMixers and MLP-Mixers are converted to. The meaning of each operation follows
coremltools' reference of MIL for iOS 15.
"""
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmconvmixer.errors import BadConfig

if TYPE_CHECKING:
    import coremltools

_DTYPES = dict(fp16=torch.float16, fp32=torch.float32)
_GELUS = dict(EXACT='none', TANH_APPROXIMATION='tanh')


def main_of(model: 'coremltools.models.MLModel') -> Any:
    """Return the function in a file, with the weights that are stored beside it."""
    from coremltools.converters.mil.frontend.milproto.load import load
    spec = model.get_spec()
    program = load(spec, spec.specificationVersion, file_weights_dir=model.weights_dir)
    return program.functions['main']


@torch.no_grad()
def run(function: Any, inputs: dict[str, Tensor]) -> dict[str, Any]:
    """Return the outputs of a function by name.

    Args:
        function: what `main_of` returned.
        inputs: tensors by name, in float32.

    Raises:
        BadConfig: there is an operation that is not known here.
    """
    values: dict[str, Any] = dict(inputs)

    def value_of(argument: Any) -> Any:
        if argument.name in values:
            return values[argument.name]
        constant = argument.val
        if isinstance(constant, np.ndarray) and (constant.dtype.kind == 'f' or constant.ndim > 1):
            return torch.from_numpy(constant)
        return constant.tolist() if isinstance(constant, np.ndarray) else constant

    for operation in function.operations:
        kind = operation.op_type
        if kind == 'const':
            continue
        if kind not in _OPERATIONS:
            raise BadConfig(f'the operation {kind} of Core ML cannot be computed here, so the '
                            'file cannot be checked; export on macOS, where Core ML runs')
        results = _OPERATIONS[kind](**{
            name: value_of(argument) for name, argument in operation.inputs.items()
            if argument is not None})
        if len(operation.outputs) == 1:
            results = (results,)
        values |= {output.name: result
                   for output, result in zip(operation.outputs, results, strict=True)}
    return {output.name: values[output.name] for output in function.outputs}


def _dequantized(quantized_data: Tensor, zero_point: Any, scale: Tensor, axis: int) -> Tensor:
    shape = [1] * quantized_data.dim()
    shape[int(axis)] = -1
    scale = torch.as_tensor(scale).reshape(shape)
    return (quantized_data - torch.as_tensor(zero_point).reshape(shape)).to(scale.dtype) * scale


def _conv(x: Tensor, weight: Tensor, pad_type: str, strides: list[int], dilations: list[int],
          groups: int, pad: list[int] | None = None, bias: Tensor | None = None) -> Tensor:
    if pad_type == 'same':
        pad = []
        for size, kernel, step, dilation in zip(x.shape[2:], weight.shape[2:], strides, dilations,
                                                strict=True):
            total = max((-(-size // step) - 1) * step + dilation * (kernel - 1) + 1 - size, 0)
            pad += [total // 2, total - total // 2]
    top, bottom, left, right = [0] * 4 if pad_type == 'valid' or pad is None else pad
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, tuple(strides),
                    dilation=tuple(dilations), groups=int(groups))


def _gelu(x: Tensor, mode: str) -> Tensor:
    return F.gelu(x, approximate=_known(_GELUS, mode, 'GELU'))


def _known(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise BadConfig(f'{what} {name} of Core ML cannot be computed here; it can be '
                        f'{" or ".join(table)}')
    return table[name]


def _batch_norm(x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor,
                epsilon: float) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, eps=float(epsilon))


def _layer_norm(x: Tensor, axes: list[int], gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    if axes != [-1]:
        raise BadConfig(f'a LayerNorm over the axes {axes} cannot be computed here')
    return F.layer_norm(x, x.shape[-1:], gamma, beta, float(epsilon))


def _classify(probabilities: Tensor, classes: Any) -> tuple[str, dict[str, float]]:
    names = [str(getattr(name, 'val', name)) for name in getattr(classes, 'ls', classes)]
    scores = dict(zip(names, probabilities.flatten().tolist(), strict=True))
    return max(scores, key=scores.__getitem__), scores


_OPERATIONS: dict[str, Callable] = {
    'add': lambda x, y: x + y,
    'batch_norm': _batch_norm,
    'cast': lambda x, dtype: x.to(_known(_DTYPES, dtype, 'dtype')),
    'classify': _classify,
    'constexpr_affine_dequantize': _dequantized,
    'conv': _conv,
    'expand_dims': lambda x, axes: x.unsqueeze(*axes),
    'gelu': _gelu,
    'layer_norm': _layer_norm,
    'linear': F.linear,
    'mul': lambda x, y: x * y,
    'reduce_mean': lambda x, axes, keep_dims: x.mean(axes, keepdim=bool(keep_dims)),
    'relu': lambda x: x.relu(),
    'reshape': lambda x, shape: x.reshape(shape),
    'softmax': lambda x, axis: x.softmax(int(axis)),
    'sub': lambda x, y: x - y,
    'tanh': lambda x: x.tanh(),
    'transpose': lambda x, perm: x.permute(perm),
}

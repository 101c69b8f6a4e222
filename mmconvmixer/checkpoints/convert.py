"""Convert weights from one library's names and file format to another's."""
import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints.architecture import ConvMixerShape, Shape, read_architecture
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.checkpoints.meta import ACTS, act_in, meta_of
from mmconvmixer.checkpoints.normalization import normalization_of
from mmconvmixer.checkpoints.read import read_checkpoint
from mmconvmixer.checkpoints.readers.safetensors_file import META, safetensors_bytes
from mmconvmixer.checkpoints.weights import Weights, state_dict_of
from mmconvmixer.checkpoints.write import serialized
from mmconvmixer.errors import BadConfig
from mmconvmixer.models import ARCHS

# The output formats; most are named after the library whose names they use.
FORMATS = ('mmpretrain', 'timm', 'official', 'flax', 'safetensors')
DTYPES = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16)


@dataclass(frozen=True)
class Converted:
    """What `convert` found and wrote.

    Attributes:
        path: the file written.
        layout: the library whose names the source has.
        shape: sizes of the network.
        act: its activation, 'GELU' or 'ReLU'.
        act_from: how the activation is known.
        averaged: whether the weights are averages over the training.
    """
    path: Path
    layout: str
    shape: Shape
    act: str
    act_from: str
    averaged: bool


def convert(source: str | Path, target: str | Path, to: str = 'mmpretrain', *,
            dtype: str | None = None, ema: bool | None = None, strip_head: bool = False,
            act: str | None = None) -> Converted:
    """Write the weights of a file with the names and shapes of another library.

    Args:
        source: any file that `read_checkpoint` reads.
        target: the file to write. Its suffix determines the container: `.npz`,
            `.safetensors`, otherwise torch's. With the format 'mmpretrain', the first 8
            digits of the sha256 are added to the name.
        to: one of `FORMATS`. 'safetensors' means mmpretrain's names in a safetensors
            file, whatever the suffix.
        dtype: 'float32', 'float16' or 'bfloat16' for the floating-point weights; None
            keeps their dtypes.
        ema: see `state_dict_of`.
        strip_head: leave out the classifier.
        act: 'GELU' or 'ReLU', to correct what is assumed about these weights.

    Raises:
        BadCheckpoint: see `read_checkpoint`.
        UnsafeCheckpoint: see `read_checkpoint`.
        CheckpointNotFound: see `read_checkpoint`.
        BadConfig: there is no such format, or it does not exist for this family.
        OutputNotWritable: see `mmconvmixer._support.atomic_write.atomic_write`.
    """
    if not Path(target).name or os.path.isdir(target):
        raise BadConfig(f'{target} is a folder; name the file to write')
    if to not in FORMATS:
        raise BadConfig(f'there is no format {to}; choose from {", ".join(FORMATS)}')
    checkpoint = read_checkpoint(source)
    weights = state_dict_of(checkpoint, str(source), ema)
    shape = read_architecture(weights, str(source))
    meta = meta_of(checkpoint)
    said, how = act_in(meta)
    known = bool(act) or (how == 'known' and said in ACTS)
    act, act_from = (act, '--act') if act else _act_of(meta, shape, weights)
    tensors = {key: rounded(key, value, dtype) if dtype else value
               for key, value in weights.items()
               if not (strip_head and key.startswith('head.'))}
    note = dict(layout=weights.layout, numerics=weights.numerics, act=act, act_known=known,
                averaged=weights.averaged, architecture=asdict(shape), source=Path(source).name,
                preprocessing=normalization_of(meta, str(source)))
    path = _write(tensors, weights, Path(target), to, meta, note)
    return Converted(path, weights.layout, shape, act, act_from, weights.averaged)


def rounded(key: str, value: Tensor, dtype: str) -> Tensor:
    """Return a floating-point weight in another dtype, and an integer one as it is.

    Raises:
        BadConfig: a value is too large for that dtype.
    """
    if not value.is_floating_point():
        return value
    result = value.to(DTYPES[dtype])
    if result.isinf().sum() > value.isinf().sum():
        raise BadConfig(f'{key} contains {float(value.abs().max()):g}, too large for {dtype}; use '
                        'bfloat16 or float32')
    return result


def _act_of(meta: dict, shape: Shape, weights: Weights) -> tuple[str, str]:
    """Return the activation, which the tensors don't show, and how it is known."""
    if not isinstance(shape, ConvMixerShape):
        return 'GELU', "MLP-Mixer's only activation"
    said, _ = act_in(meta)
    if said in ACTS:
        return said, "the file's meta"
    sizes = shape.embed_dims, shape.depth, shape.patch_size, shape.kernel_size
    for name, arch in ARCHS.items():
        if (arch.embed_dims, arch.depth, arch.patch_size, arch.kernel_size) == sizes:
            return arch.act, f"the zoo's {name}, which has these sizes"
    return 'GELU', "the paper's default; no model of the zoo has these sizes"


def _write(tensors: dict[str, Tensor], weights: Weights, target: Path, to: str, meta: dict,
           note: dict) -> Path:
    layout = layout_named('mmpretrain' if to == 'safetensors' else to, weights.family)
    if layout is None:
        raise BadConfig(f'{weights.family} has no {to} format; use another of '
                        f'{", ".join(FORMATS)}')
    renamed = layout.from_mmpretrain(tensors)
    kept = {key: meta[key] for key in ('dataset_meta', 'CLASSES', 'resizing') if key in meta}
    content = _container(target, to)(renamed, {**kept, 'converted': note}, to)
    if to == 'mmpretrain':
        digest = hashlib.sha256(content).hexdigest()[:8]
        target = target.with_name(f'{target.stem}-{digest}{target.suffix}')
    with atomic_write(target) as part:
        part.write_bytes(content)
    return target


def _container(target: Path, to: str) -> Callable[[dict[str, Tensor], dict, str], bytes]:
    if target.suffix == '.safetensors' or to == 'safetensors':
        return _as_safetensors
    return _as_npz if target.suffix == '.npz' or to == 'flax' else _as_torch


def _as_torch(tensors: dict[str, Tensor], meta: dict, to: str) -> bytes:
    # The authors' code loads plain tensors only; the other libraries look for `state_dict`.
    return serialized(tensors if to == 'official' else dict(state_dict=tensors, meta=meta))


def _as_safetensors(tensors: dict[str, Tensor], meta: dict, to: str) -> bytes:
    # Values that JSON does not know, such as a palette in numpy, are written as text.
    return safetensors_bytes(tensors, {'format': 'pt', META: json.dumps(meta, default=str)})


def _as_npz(tensors: dict[str, Tensor], meta: dict, to: str) -> bytes:
    halves = [key for key, value in tensors.items() if value.dtype is torch.bfloat16]
    if halves:
        raise BadConfig(f'numpy has no bfloat16, the type of {halves[0]}; use dtype '
                        'float32 or float16')
    buffer = io.BytesIO()
    np.savez(buffer, **{key: value.numpy() for key, value in tensors.items()})
    return buffer.getvalue()

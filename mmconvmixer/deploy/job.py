"""One export: what is exported, and in which form."""
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from mmengine.model import BaseModel

from mmconvmixer.datasets.same_classes import distinct_names
from mmconvmixer.deploy.network import Network
from mmconvmixer.deploy.preprocessing import Preprocessing
from mmconvmixer.errors import BadConfig

DTYPES = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16,
              int8=torch.float32)


@dataclass(frozen=True)
class Job:
    """Everything that a format's writer needs.

    Attributes:
        model: the classifier.
        preprocessing: how its images are prepared; None for a runtime that takes any size.
        classes: names of its classes; None if they are not known.
        features: pooled features (N, embed_dims) instead of logits (N, classes).
        dynamic_batch: any number of images at once, instead of one.
        dtype: of the weights: 'float32', 'float16', 'bfloat16', or 'int8', which a
            format's own tools make from float32 weights.
        topk: how many classes a self-contained file names.
        name: what a page calls the model.
        runtime: folder with a page's runtime, see `mmconvmixer.deploy.web.runtime`.
    """
    model: BaseModel
    preprocessing: Preprocessing | None
    classes: tuple[str, ...] | None = None
    features: bool = False
    dynamic_batch: bool = True
    dtype: str = 'float32'
    topk: int = 5
    name: str = ''
    runtime: str | os.PathLike | None = None

    @cached_property
    def network(self) -> Network:
        """The network in the job's dtype, for inference."""
        return Network(self.model, self.features, DTYPES[self.dtype])

    @cached_property
    def width(self) -> int:
        """Number of logits or features."""
        with torch.no_grad():
            return self.network(torch.zeros(1, *self.input_shape)).shape[1]

    def check_dtype(self, *able: str) -> None:
        """Raise BadConfig unless a format's `write` makes files of the job's dtype."""
        if self.dtype not in able:
            raise BadConfig(f'write makes files in {" or ".join(able)}, not in {self.dtype}; for '
                            'int8, call write_int8 with images for calibration')

    @property
    def best(self) -> int:
        """Number of classes that a self-contained file really names."""
        return min(self.topk, self.width)

    @property
    def class_names(self) -> list[str]:
        """The names in a self-contained file, all of them different."""
        return distinct_names(self.classes or (), self.width)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one image."""
        return (self.preprocessing.in_channels, *self.preprocessing.image_size)

    @property
    def output_name(self) -> str:
        """'features' or 'logits'."""
        return 'features' if self.features else 'logits'

    def interface(self, dynamic_batch: bool) -> dict[str, Any]:
        """Return names, shapes and dtypes of inputs and outputs, for the export's record."""
        batch = 'batch' if dynamic_batch else 1
        return dict(
            inputs=dict(images=dict(shape=[batch, *self.input_shape], dtype='float32')),
            outputs={self.output_name: dict(shape=[batch, self.width], dtype='float32')})

    def self_contained_interface(self) -> dict[str, Any]:
        """Return the same of a self-contained file."""
        return dict(
            inputs=dict(image=dict(shape=['height', 'width', 3], dtype='uint8')),
            outputs={name: dict(shape=[self.best], dtype=dtype) for name, dtype in (
                ('classes', 'string'), ('scores', 'float32'), ('labels', 'int64'))})

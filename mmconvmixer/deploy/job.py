"""One export: what is exported, and in which form."""
from dataclasses import dataclass
from functools import cached_property

import torch
from mmengine.model import BaseModel

from mmconvmixer.deploy.network import Network
from mmconvmixer.deploy.preprocessing import Preprocessing

DTYPES = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16,
              int8=torch.float32)


@dataclass(frozen=True)
class Job:
    """What a format's writer gets to know.

    Attributes:
        model: the classifier.
        preprocessing: of its images; None if what runs takes any size.
        classes: their names, None where nobody knows them.
        features: pooled features (N, embed_dims) instead of logits (N, classes).
        dynamic_batch: any number of images at once; else one.
        dtype: of the weights: 'float32', 'float16', 'bfloat16' or, of what a format's
            own tools make of float32 weights, 'int8'.
        topk: classes that a self-contained file names.
    """
    model: BaseModel
    preprocessing: Preprocessing | None
    classes: tuple[str, ...] | None = None
    features: bool = False
    dynamic_batch: bool = True
    dtype: str = 'float32'
    topk: int = 5

    @cached_property
    def network(self) -> Network:
        """The network in the job's dtype, for inference."""
        return Network(self.model, self.features, DTYPES[self.dtype])

    @cached_property
    def width(self) -> int:
        """Number of logits or features."""
        with torch.no_grad():
            return self.network(torch.zeros(1, *self.input_shape)).shape[1]

    @property
    def best(self) -> int:
        return min(self.topk, self.width)

    @property
    def class_names(self) -> list[str]:
        """As a self-contained file has them: each its own."""
        names = [str(label) for label in range(self.width)]
        for label, name in enumerate(self.classes or ()):
            # ImageNet has two cranes and two maillots.
            names[label] = name if self.classes.count(name) == 1 else f'{name} ({label})'
        return names

    def class_name(self, label: int) -> str:
        return self.class_names[label]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (self.preprocessing.in_channels, *self.preprocessing.image_size)

    @property
    def output_name(self) -> str:
        return 'features' if self.features else 'logits'

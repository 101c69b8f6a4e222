"""Images as a network takes them, and as people see them."""
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from torch import Tensor

from mmconvmixer.datasets.image_forms import ImageInput, name_of
from mmconvmixer.datasets.image_input import ImagePipeline


@dataclass(frozen=True)
class NetworkImage:
    """An image after the test pipeline.

    Attributes:
        name: its folder and file name, or what kind of object it was.
        pixels: (H, W, 3) uint8, RGB.
        inputs: (1, C, H, W), normalized.
    """

    name: str
    pixels: np.ndarray
    inputs: Tensor


def network_images(model: BaseModel, images: Iterable[ImageInput]) -> list[NetworkImage]:
    """Prepare images for a network.

    Args:
        model: a model that `get_model` returned.
        images: paths, URLs, bytes, PIL images or arrays; see `mmconvmixer.Predictor`.

    Raises:
        BadImage: an image can't be read.
        BadConfig: the model's config has no test pipeline.
    """
    prepare = ImagePipeline(model)
    prepared = []
    for image in images:
        sample = prepare(image)
        inputs = model.data_preprocessor(default_collate([sample]))['inputs']
        prepared.append(NetworkImage('/'.join(Path(name_of(image)).parts[-2:]),
                                     as_pixels(sample['inputs']), inputs))
    return prepared


def as_pixels(image: Tensor) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB for an image (C, H, W) as mmpretrain loads it: BGR or gray."""
    pixels = image.permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(pixels[..., 2::-1]) if pixels.shape[2] >= 3 else np.repeat(
        pixels[..., :1], 3, axis=2)

"""The exported part of a classifier: normalized images in, logits or features out."""
import torch
from mmengine.model import BaseModel
from mmpretrain.models import GlobalAveragePooling, ImageClassifier
from torch import Tensor, nn

from mmconvmixer.deploy.fuse import fuse
from mmconvmixer.errors import BadConfig
from mmconvmixer.models import FeatureExtractor


def check_is_classifier(model: BaseModel, features: bool = False) -> None:
    """Check that a model has a backbone and, unless its features are wanted, a head.

    Raises:
        BadConfig: it has not.
    """
    if not isinstance(model, ImageClassifier) or not (model.with_head or features):
        raise BadConfig(f'{type(model).__name__} is not an image classifier with a '
                        f'{"backbone" if features else "head"}')


class Network(nn.Module):
    """A classifier's backbone, neck and head without its preprocessor, for inference only.

    Args:
        model: an `ImageClassifier`; it is not changed.
        features: leave out the head. A `FeatureExtractor` has no head in any case.
        dtype: of the weights and the arithmetic; inputs and outputs are float32.

    Raises:
        BadConfig: see `check_is_classifier`.
    """

    def __init__(self, model: BaseModel, features: bool = False,
                 dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        features = features or isinstance(model, FeatureExtractor)
        check_is_classifier(model, features)
        fused = fuse(model)
        self.backbone, self.neck = fused.backbone, fused.neck
        self.head = None if features else fused.head
        self.pools = type(self.neck) is GlobalAveragePooling
        self.features = features
        self.dtype = dtype
        self.to('cpu', dtype).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) or features (N, embed_dims) for images (N, C, H, W)."""
        maps = self.backbone(images.to(self.dtype))
        if self.pools:
            maps = tuple(_pooled(each) for each in maps)
        elif self.neck is not None:
            maps = self.neck(maps)
        return (maps[-1] if self.features else self.head(maps)).float()


def _pooled(x: Tensor) -> Tensor:
    """Return the mean (N, C) of each channel of a map (N, C, H, W) or (N, C, tokens).

    In an exported graph it is one operator, over two of four dimensions, which it keeps.
    XNNPACK computes no other mean. ExecuTorch 1.5.1 misread a map that is channels-last in memory
    when it was flattened first and the number of images was not fixed, pnnx 20261020 loses the
    only axis of a mean, and what onnx2tf 1.29.24 makes of an MLP-Mixer that pools three dimensions
    is wrong by 0.7.
    """
    maps = x.unsqueeze(3) if x.dim() == 3 else x
    return maps.mean((2, 3), keepdim=True).flatten(1)

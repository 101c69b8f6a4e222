"""What is exported of a classifier: normalised pictures in, logits or features out."""
import torch
from mmengine.model import BaseModel
from mmpretrain.models import GlobalAveragePooling
from torch import Tensor, nn

from mmconvmixer.deploy.fuse import fuse
from mmconvmixer.errors import BadConfig


class Network(nn.Module):
    """A classifier's backbone, neck and head by themselves, for inference only.

    Args:
        model: an `ImageClassifier`; it is left as it is.
        features: leave out the head's last layer.
        dtype: of the weights and the arithmetic; what goes in and out is float32.
    """

    def __init__(self, model: BaseModel, features: bool = False,
                 dtype: torch.dtype = torch.float32):
        super().__init__()
        if not all(hasattr(model, part) for part in ('backbone', 'neck', 'head')):
            raise BadConfig(f'{type(model).__name__} is no image classifier with a backbone, a '
                            'neck and a head')
        fused = fuse(model)
        self.backbone, self.neck = fused.backbone, fused.neck
        if type(self.neck) is GlobalAveragePooling:
            self.neck = None  # `forward` does it in the one operator that it is
        self.head = None if features else fused.head
        self.dtype = dtype
        self.to(dtype).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) or features (N, embed_dims) for images (N, C, H, W)."""
        maps = self.backbone(images.to(self.dtype))
        pooled = (self.neck(maps) if self.neck is not None
                  else tuple(each.flatten(2).mean(2) for each in maps))
        return (pooled[-1] if self.head is None else self.head(pooled)).float()

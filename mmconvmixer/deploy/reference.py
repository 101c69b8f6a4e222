"""A classifier's own outputs, which everything exported from it is compared with."""
from copy import deepcopy

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmconvmixer.errors import BadConfig


@torch.no_grad()
def reference_outputs(model: BaseModel, images: Tensor, features: bool = False) -> Tensor:
    """Return logits (N, classes) or features (N, embed_dims), in float32 on a CPU.

    Args:
        model: the classifier; it is not changed, even in training mode.
        images: (N, C, H, W) float32, normalized.
        features: return the pooled features instead of the logits.

    Raises:
        BadConfig: the network does not take images of this size.
    """
    model = deepcopy(model).cpu().float().eval()
    try:
        found = model.extract_feat(images)
        return found[-1] if features else model.head(found)
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise BadConfig(f'the network does not take images of {tuple(images.shape[1:])}: '
                        f'{error}') from error

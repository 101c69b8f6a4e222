"""Random weights with which a ConvMixer behaves like a trained one.

With torch's initialization, deep networks give every image the same logits. With
merely random BatchNorm, they amplify a rounding error in float32 to a percent, and one
in bfloat16 or int8 until nothing is comparable. Either way, the difference between two
implementations would say little.
"""
import torch
from mmengine.model import BaseModel
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.sample_images import sample_batch


def trained_like(model: BaseModel, seed: int = 0) -> BaseModel:
    """Set a ConvMixer classifier's weights so that its logits depend on the image.

    Each block changes its input a little: it has a small residual branch, then a
    rotation of the channels, and most activations lie above ReLU's kink. (Near the
    identity, int8 would round the off-diagonal products to zero.) BatchNorm has the
    statistics of eight real images, and the head's weights are large so that its
    predictions are confident. Other networks keep their weights.

    Args:
        model: what `get_model` returned; it is changed in place.
        seed: of the random weights.

    Returns:
        The model, in evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return model.eval()
    images = torch.from_numpy(sample_batch(preprocessing_of(model)))
    with torch.no_grad():
        for block in model.backbone.stages:
            weight = block[1].weight
            rotation, _ = torch.linalg.qr(torch.randn(*weight.shape[:2], generator=generator))
            weight.copy_(rotation[..., None, None])
        for convolution in model.backbone.modules():
            if isinstance(convolution, nn.Conv2d):
                convolution.bias.uniform_(0.8, 1.2, generator=generator)
        for norm in norms:
            norm.reset_running_stats()
            norm.weight.uniform_(0.8, 1.2, generator=generator)
            norm.bias.uniform_(-0.2, 0.2, generator=generator)
            norm.train()
        for block in model.backbone.stages:
            block[0].fn[2].weight.mul_(0.3)
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = None  # this batch's own statistics, not a running mean
        model.head.fc.weight.mul_(10)
        model.backbone(images)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model.eval()

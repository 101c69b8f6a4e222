"""Random weights under which a ConvMixer behaves as a trained one does.

With torch's initialisation the deep nets answer every picture alike, and with
merely random BatchNorm they amplify the last bit of a float32 to a percent: either
way, comparing two implementations would say little.
"""
import torch
from mmengine.model import BaseModel
from torch.nn.modules.batchnorm import _BatchNorm

from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.sample_pictures import sample_batch


def trained_like(model: BaseModel, seed: int = 0) -> BaseModel:
    """Set a ConvMixer classifier's weights, so that its answers depend on the picture.

    Pointwise products near the identity, BatchNorm statistics of eight real
    pictures, a head that is sure of itself. Other networks keep their weights.

    Args:
        model: what `get_model` returned; changed in place.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return model.eval()
    images = torch.from_numpy(sample_batch(preprocessing_of(model)))
    with torch.no_grad():
        for block in model.backbone.stages:
            weight = block[1].weight
            width = len(weight)
            noise = 0.3 * width**-0.5 * torch.randn(width, width, generator=generator)
            weight.copy_((torch.eye(width) + noise)[..., None, None])
        for norm in norms:
            norm.reset_running_stats()
            norm.weight.uniform_(0.8, 1.2, generator=generator)
            norm.bias.uniform_(-0.2, 0.2, generator=generator)
            norm.train()
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = None  # the statistics of this batch, not a running mean
        model.head.fc.weight.mul_(10)
        model.backbone(images)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model.eval()

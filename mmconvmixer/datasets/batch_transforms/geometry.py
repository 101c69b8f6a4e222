"""Shift, mirror, and crop with resizing."""

import torch
from torch import Tensor
from torch.nn import functional as F


class BatchRandomCrop:
    """Shift by up to `padding` pixels each way; black comes in.

    Args:
        padding: pixels added on each side before a crop of the old size.

    Source: torchvision `RandomCrop(size, padding)`.
    """

    def __init__(self, padding: int):
        self.padding = padding

    def __call__(self, images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        offsets = torch.randint(2 * self.padding + 1, (2, count))
        return shift(images, *offsets.to(images.device, non_blocking=True),
                       padding=self.padding)


def shift(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """Crop image n of the padded batch (N, C, H, W) at `top[n]`, `left[n]`."""
    height, width = images.shape[2:]
    padded = F.pad(images, [padding] * 4)
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: every crop there is
    return crops[torch.arange(len(images), device=images.device), :, top, left]


class BatchRandomFlip:
    """Mirror left to right.

    Args:
        prob: chance of each image.

    Source: torchvision `RandomHorizontalFlip`.
    """

    def __init__(self, prob: float = 0.5):
        self.prob = prob

    def __call__(self, images: Tensor) -> Tensor:
        mirrored = (torch.rand(len(images)) < self.prob).to(images.device, non_blocking=True)
        return torch.where(mirrored[:, None, None, None], images.flip(3), images)


class BatchRandomResizedCrop:
    """A square part of each image, blown up to the whole size.

    Args:
        scale: smallest and largest share of the image's area.

    Source: torchvision `RandomResizedCrop(size, scale, ratio=(1, 1))`, bilinear.
    """

    def __init__(self, scale: tuple[float, float]):
        self.scale = scale

    def __call__(self, images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        area = torch.empty(count).uniform_(*self.scale) * height * width
        side = area.sqrt().round().clamp(1, min(height, width))
        top = (torch.rand(count) * (height - side + 1)).floor()
        left = (torch.rand(count) * (width - side + 1)).floor()
        boxes = torch.stack([top, left, side]).to(images.device, non_blocking=True)
        return resized_crop(images, *boxes)


def resized_crop(images: Tensor, top: Tensor, left: Tensor, side: Tensor) -> Tensor:
    """Blow up the square (top, left, side), each (N,), of every image (N, C, H, W)."""
    height, width = images.shape[2:]
    y = _sources(top, side, height)
    x = _sources(left, side, width)
    # grid_sample's coordinates: -1 and 1 are the outer edges of the image.
    grid = torch.stack([
        ((2 * x + 1) / width - 1)[:, None, :].expand(-1, height, -1),
        ((2 * y + 1) / height - 1)[:, :, None].expand(-1, -1, width)], dim=3)
    resized = F.grid_sample(images.float(), grid, mode='bilinear', align_corners=False)
    return resized.round_().clamp_(0, 255).to(images.dtype)


def _sources(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where each of `size` output pixels reads, (N, size), in input pixels.

    Not beyond the crop's own edge pixels, as when the crop is resized alone.
    """
    centers = (torch.arange(size, device=start.device) + 0.5) / size
    inside = (centers * length[:, None] - 0.5).clamp_(min=0)
    return start[:, None] + torch.minimum(inside, length[:, None] - 1)

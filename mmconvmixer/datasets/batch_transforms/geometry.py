"""Random shifts, flips, and crops that are resized."""
import torch
from torch import Tensor
from torch.nn import functional as F


class BatchRandomCrop:
    """Shift each image by up to `padding` pixels in each direction; the border is black.

    Args:
        padding: pixels that are added on each side before cropping to the old size.

    Source: torchvision `RandomCrop(size, padding)`.
    """

    def __init__(self, padding: int) -> None:
        self.padding = padding

    def __call__(self, images: Tensor) -> Tensor:
        """Shift the images of a batch (N, 3, H, W) uint8."""
        count, _, height, width = images.shape
        offsets = torch.randint(2 * self.padding + 1, (2, count))
        return shift(images, *offsets.to(images.device, non_blocking=True),
                       padding=self.padding)


def shift(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """Crop image n of the padded batch (N, C, H, W) at `top[n]`, `left[n]`."""
    height, width = images.shape[2:]
    padded = F.pad(images, [padding] * 4)
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view of all possible crops
    return crops[torch.arange(len(images), device=images.device), :, top, left]


class BatchRandomFlip:
    """Flip images left to right.

    Args:
        prob: probability of the flip, for each image.

    Source: torchvision `RandomHorizontalFlip`.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def __call__(self, images: Tensor) -> Tensor:
        """Flip some of the images of a batch (N, 3, H, W) uint8."""
        flipped = (torch.rand(len(images)) < self.prob).to(images.device, non_blocking=True)
        return torch.where(flipped[:, None, None, None], images.flip(3), images)


class BatchRandomResizedCrop:
    """Cut a square out of each image and resize it to the size of the whole image.

    Args:
        scale: smallest and largest area of the square, as a fraction of the image.

    Source: torchvision `RandomResizedCrop(size, scale, ratio=(1, 1))`, bilinear.
    """

    def __init__(self, scale: tuple[float, float]) -> None:
        self.scale = scale

    def __call__(self, images: Tensor) -> Tensor:
        """Crop and resize the images of a batch (N, 3, H, W) uint8."""
        count, _, height, width = images.shape
        area = torch.empty(count).uniform_(*self.scale) * height * width
        side = area.sqrt().round().clamp(1, min(height, width))
        top = (torch.rand(count) * (height - side + 1)).floor()
        left = (torch.rand(count) * (width - side + 1)).floor()
        boxes = torch.stack([top, left, side]).to(images.device, non_blocking=True)
        return resized_crop(images, *boxes)


def resized_crop(images: Tensor, top: Tensor, left: Tensor, side: Tensor) -> Tensor:
    """Resize one square of each image to the size of the whole image, bilinearly.

    Args:
        images: (N, C, H, W) uint8.
        top, left, side: (N,), the squares in pixels, as whole numbers in float32.

    Returns:
        (N, C, H, W) uint8.
    """
    height, width = images.shape[2:]
    y = _source_coordinates(top, side, height)
    x = _source_coordinates(left, side, width)
    # In grid_sample's coordinates, -1 and 1 are the outer edges of the image.
    grid = torch.stack([
        ((2 * x + 1) / width - 1)[:, None, :].expand(-1, height, -1),
        ((2 * y + 1) / height - 1)[:, :, None].expand(-1, -1, width)], dim=3)
    resized = F.grid_sample(images.float(), grid, mode='bilinear', align_corners=False)
    return resized.round_().clamp_(0, 255).to(images.dtype)


def _source_coordinates(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return the input coordinate (N, size) that each of `size` output pixels is sampled at.

    Coordinates stay between the crop's outermost pixels, so that nothing outside the crop
    is mixed in.
    """
    centers = (torch.arange(size, device=start.device) + 0.5) / size
    inside = (centers * length[:, None] - 0.5).clamp_(min=0)
    return start[:, None] + torch.minimum(inside, length[:, None] - 1)

"""Brightness, contrast and saturation, in an order drawn for each image."""
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale


class BatchColorJitter:
    """Multiply brightness, contrast and saturation by random factors.

    Args:
        strength: factors are drawn uniformly from [1 - strength, 1 + strength], at least 0.

    Source: torchvision `ColorJitter(strength, strength, strength)`.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, images: Tensor) -> Tensor:
        """Jitter the colors of a batch (N, 3, H, W) uint8."""
        count, low = len(images), max(0., 1 - self.strength)
        factors = torch.empty(3, count).uniform_(low, 1 + self.strength)
        orders = torch.rand(3, count).argsort(0)
        return jitter(images, *(drawn.to(images.device, non_blocking=True)
                                  for drawn in (factors, orders)))


def jitter(images: Tensor, factors: Tensor, orders: Tensor) -> Tensor:
    """Change image n by the factors `factors[:, n]`, in the order `orders[:, n]`.

    Args:
        images: (N, 3, H, W) uint8, RGB.
        factors: (3, N), the factors of brightness, contrast and saturation.
        orders: (3, N), each column a permutation of 0 (brightness), 1 and 2.

    Returns:
        (N, 3, H, W) uint8.
    """
    for chosen in orders:
        factor = factors.gather(0, chosen[None])[0][:, None, None, None]
        gray = rgb_to_grayscale(images)
        # The image that a factor of 0 gives: black, the mean gray, or the gray image.
        mean = gray.float().mean((1, 2, 3), keepdim=True).expand_as(gray)
        neutral = torch.where((chosen == 2)[:, None, None, None], gray.float(), mean)
        neutral = neutral * (chosen != 0)[:, None, None, None]
        images = (factor * images + (1 - factor) * neutral).clamp_(0, 255).to(images.dtype)
    return images

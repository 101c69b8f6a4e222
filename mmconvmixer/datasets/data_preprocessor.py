"""mmpretrain's normalization of test images, computed in one tensor instead of four."""
from collections.abc import Sequence

import mmpretrain.models
import torch


class ClsDataPreprocessor(mmpretrain.models.ClsDataPreprocessor):
    """mmpretrain's class, faster for uint8 batches on a CPU outside training.

    The results are the same bit for bit. Arguments: as in mmpretrain's class.
    """

    def __init__(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
                 pad_size_divisor: int = 1, pad_value: float = 0, to_rgb: bool = False,
                 to_onehot: bool = False, num_classes: int | None = None,
                 batch_augments: dict | None = None) -> None:
        super().__init__(mean=mean, std=std, pad_size_divisor=pad_size_divisor,
                         pad_value=pad_value, to_rgb=to_rgb, to_onehot=to_onehot,
                         num_classes=num_classes, batch_augments=batch_augments)
        # The steps that follow normalization.
        self.after_normalization = mmpretrain.models.ClsDataPreprocessor(
            pad_size_divisor=pad_size_divisor, pad_value=pad_value, to_onehot=self.to_onehot,
            num_classes=num_classes)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return `inputs` (N, C, H, W) float32, and `data_samples`.

        Args:
            data: `inputs` (N, C, H, W) or a list of N images (C, H, W), `data_samples`.
            training: whether to apply the batch augmentation.
        """
        images = data['inputs']
        if (training or not self._enable_normalize or self.mean.dtype != torch.float32
                or self.device.type != 'cpu' or not torch.is_tensor(images)
                or images.device.type != 'cpu' or images.dtype != torch.uint8
                or images.shape[1] != self.mean.numel()):
            return super().forward(data, training)
        return self.after_normalization(dict(data, inputs=normalize(
            images, self.mean, self.std, flip=self.to_rgb and images.shape[1] == 3)))


def normalize(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor,
              flip: bool) -> torch.Tensor:
    """Return (images - mean) / std, (N, C, H, W) float32.

    Args:
        images: (N, C, H, W) uint8.
        mean, std: (C, 1, 1) float32, on the scale 0..255.
        flip: whether to reverse the channels, BGR to RGB.
    """
    normalized = torch.empty(images.shape, dtype=torch.float32)
    # One image at a time stays in the processor's cache between the steps.
    for image, target in zip(images, normalized, strict=True):
        target.copy_(image.flip(0) if flip else image).sub_(mean).div_(std)
    return normalized

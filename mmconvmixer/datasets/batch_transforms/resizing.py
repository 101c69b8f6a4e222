"""Training on smaller images than those of the test, which takes less time."""
from torch import Tensor
from torch.nn import functional as F


class ResizeBatch:
    """Resize the normalized images of a batch, bilinear and antialiased.

    For the first epochs of a run, whose last epochs see the images as they are (progressive
    resizing). mmpretrain's hook switches at the beginning of epochs, which it counts from 1:

        model = dict(train_cfg=dict(augments=dict(type='ResizeBatch', size=16)))
        custom_hooks = [dict(type='SwitchRecipeHook', schedule=[
            dict(action_epoch=5, batch_augments=None)])]

    Args:
        size: height and width afterwards, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Resize a batch.

        Args:
            images: (N, C, H, W), normalized.
            scores: (N, classes), one-hot; returned as they are.

        Returns:
            Images (N, C, size, size) and the scores.
        """
        images = F.interpolate(images, size=(self.size, self.size), mode='bilinear',
                               antialias=True)
        return images, scores

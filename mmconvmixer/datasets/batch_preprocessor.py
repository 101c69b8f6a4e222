"""Augmentation of whole batches on the training device."""
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from mmengine.dist import get_dist_info
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import TRANSFORMS


class BatchPreprocessor(ClsDataPreprocessor):
    """mmpretrain's `ClsDataPreprocessor`, which also transforms the batch during training.

    transforms (uint8, RGB) -> normalization -> batch augmentation (mixing, erasing).

    Args:
        transforms: configs of `mmconvmixer.datasets.batch_transforms`.
        mean: of each channel, on the scale 0..255.
        std: of each channel, on the scale 0..255.
        to_rgb: whether the images are BGR and have to be converted.
        num_classes: as in mmpretrain's class.
        batch_augments: as in mmpretrain's class.
    """

    def __init__(self, transforms: Sequence[dict] = (), mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None, to_rgb: bool = False,
                 num_classes: int | None = None, batch_augments: dict | None = None) -> None:
        super().__init__(mean=mean, std=std, to_rgb=to_rgb, num_classes=num_classes,
                         batch_augments=batch_augments)
        self.transforms = [TRANSFORMS.build(transform) for transform in transforms]

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return `inputs` (N, C, H, W) float32, and `data_samples`, ready for the network.

        Args:
            data: `inputs` (N, C, H, W) uint8 or a list of N images, `data_samples`.
            training: whether to apply the random transforms.
        """
        if training and self.transforms:
            images = data['inputs']
            images = self.cast_data(images if torch.is_tensor(images) else torch.stack(images))
            # Autocast would round pixel coordinates to 8 significant bits.
            kind = images.device.type
            exact = (torch.autocast(kind, enabled=False)
                     if torch.amp.is_autocast_available(kind) else nullcontext())
            with exact, _separate_draws():
                images = self._flip_channels(images)
                for transform in self.transforms:
                    images = transform(images)
                data = dict(data, inputs=self._flip_channels(images))
        return super().forward(data, training)

    def _flip_channels(self, images: torch.Tensor) -> torch.Tensor:
        return images.flip(1) if self.to_rgb else images


@contextmanager
def _separate_draws() -> Iterator[None]:
    """Make each process of a run draw different numbers; their generators have the same state."""
    rank, world_size = get_dist_info()
    if world_size == 1:
        yield
        return
    seed = int(torch.randint(2**62, ()))
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed + rank)
    try:
        yield
    finally:
        torch.set_rng_state(state)

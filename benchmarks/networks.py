"""A ConvMixer classifier of plain modules, for machines without OpenMMLab's packages.

Its forward pass is the backbone's: through `models.fused_block` if `fused`, otherwise
module by module, as in mmpretrain, timm and the authors' code.
"""
from dataclasses import dataclass

from torch import Tensor, nn

from mmconvmixer.models import fused_block
from mmconvmixer.ops.pointwise import PointwiseConv2d


@dataclass(frozen=True)
class Case:
    """A variant, and the input that it is measured with."""
    name: str
    embed_dims: int
    depth: int
    patch_size: int
    kernel_size: int
    act: type[nn.Module]
    image_size: int
    batch_size: int
    num_classes: int

    @property
    def positions(self) -> int:
        """Patches of an image."""
        return (self.image_size // self.patch_size)**2


CASES = (
    Case('768/32', 768, 32, 7, 7, nn.ReLU, 224, 256, 1000),
    Case('1024/20', 1024, 20, 14, 9, nn.GELU, 224, 256, 1000),
    Case('1536/20', 1536, 20, 7, 9, nn.GELU, 224, 256, 1000),
    Case('256/8 CIFAR', 256, 8, 2, 5, nn.GELU, 32, 512, 10),
)
TINY = (Case('tiny', 8, 1, 2, 3, nn.GELU, 8, 2, 4),)


class Residual(nn.Module):
    """x + fn(x)."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn, self.drop_path = fn, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return x + fn(x)."""
        return x + self.fn(x)


class Network(nn.Module):
    """A classifier; `fused` computes its features with the kernels."""

    def __init__(self, case: Case, fused: bool = False) -> None:
        super().__init__()
        dims, act = case.embed_dims, case.act()
        pointwise = PointwiseConv2d if fused else (lambda *sizes: nn.Conv2d(*sizes, 1))
        self.fused = fused
        self.stem = nn.Sequential(
            nn.Conv2d(3, dims, case.patch_size, case.patch_size), act, nn.BatchNorm2d(dims))
        self.blocks = nn.Sequential(*(
            nn.Sequential(
                Residual(nn.Sequential(
                    nn.Conv2d(dims, dims, case.kernel_size, groups=dims, padding='same'), act,
                    nn.BatchNorm2d(dims))),
                pointwise(dims, dims), act, nn.BatchNorm2d(dims))
            for _ in range(case.depth)))
        self.head = nn.Linear(dims, case.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) for images (B, 3, H, W)."""
        x = self._fused_features(x) if self.fused else self.blocks(self.stem(x))
        return self.head(x.mean((2, 3)))

    def _fused_features(self, x: Tensor) -> Tensor:
        patches, act, norm = self.stem
        if not self.training:
            x = fused_block.infer_act_norm(patches(x), act, norm)
            for block in self.blocks:
                x = fused_block.infer_block(block, x)
            return x
        x, origin = fused_block.train_act_norm(patches(x), act, norm), None
        for block in self.blocks:
            x, origin = fused_block.train_block(block, x, origin)
        return x

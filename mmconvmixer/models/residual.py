"""The residual branch of a ConvMixer block, and what of it the faster paths rely on."""
from torch import Tensor, nn


class Residual(nn.Module):
    """x + fn(x); the name `fn` is part of the saved keys."""

    def __init__(self, fn: nn.Module, drop_path: nn.Module | None = None) -> None:
        super().__init__()
        self.fn = fn
        self.drop_path = nn.Identity() if drop_path is None else drop_path
        self.kind_of_drop_path = type(self.drop_path)  # as it was built, for `is_usual`

    def forward(self, x: Tensor) -> Tensor:
        """Return x + fn(x), without fn(x) for the samples that drop_path drops."""
        return x + self.drop_path(self.fn(x))


def behaves_as(module: nn.Module, kind: type) -> bool:
    """Whether the module's `forward` is that of the class `kind`: not overridden, not wrapped."""
    # Comparing types would fail in torch.export, which turns modules into subclasses.
    return (isinstance(module, kind) and type(module).forward is kind.forward
            and 'forward' not in module.__dict__)


def is_usual(residual: nn.Module) -> bool:
    """Whether neither the residual nor its branch was exchanged, wrapped or changed in length."""
    return (behaves_as(residual, Residual) and behaves_as(residual.fn, nn.Sequential)
            and len(residual.fn) == 3
            and behaves_as(residual.drop_path, residual.kind_of_drop_path))


def drops_samples(residual: Residual) -> bool:
    """Whether stochastic depth is active. It can be without the other parts being in training."""
    return residual.drop_path.training and not isinstance(residual.drop_path, nn.Identity)

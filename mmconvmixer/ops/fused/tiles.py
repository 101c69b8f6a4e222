"""How work is cut into programs."""
import torch
import triton
from torch import Tensor


def tile(size: int, *, most: int, least: int = 1) -> int:
    """Return the power of two that holds `size`, within the bounds."""
    return max(least, min(most, triton.next_power_of_2(max(size, 1))))


def vector(values: Tensor, channels: int) -> Tensor:
    """Return one value a channel as the kernels read it: float32, side by side.

    Raises:
        ValueError: they are not as many as the channels.
    """
    if values.shape != (channels,):
        raise ValueError(f'expected one value for each of {channels} channels, got a tensor of '
                         f'shape {tuple(values.shape)}')
    return values.float().contiguous()


def programs_wanted(device: torch.device) -> int:
    """Return how many programs keep the device busy: eight for each multiprocessor.

    As many have enough reads under way to use the memory's full speed.
    """
    if device.type != 'cuda':
        return 2
    return 8 * torch.cuda.get_device_properties(device).multi_processor_count


def parts(items: int, device: torch.device, *, programs_each: int,
          least: int = 1) -> tuple[int, int]:
    """Return (items of a part, number of parts) for a sum over `items`.

    Each part takes `programs_each` programs, and no part but the last has less
    than `least` items. The number depends on the device's size, not on what
    else it does: sums are the same bits each time.
    """
    if not items:
        return 1, 0
    wanted = max(1, programs_wanted(device) // programs_each)
    each = max(least, triton.cdiv(items, wanted))
    return each, triton.cdiv(items, each)

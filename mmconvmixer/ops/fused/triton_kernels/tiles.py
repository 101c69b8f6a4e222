"""How the kernels' work is divided into programs."""
import torch
import triton


def tile(size: int, *, most: int, least: int = 1) -> int:
    """Return the smallest power of two that is at least `size`, within the bounds."""
    return max(least, min(most, triton.next_power_of_2(max(size, 1))))


def row_tile(rows: int, channels: int) -> tuple[int, int]:
    """Return the rows and channels that a program takes at a time."""
    return tile(rows, most=16), tile(channels, most=128)


def depthwise_tile(channels: int, kernel_size: int) -> tuple[int, int, int]:
    """Return the tiles of a program, the columns of a tile and the channels of a program.

    Each of 128 threads holds two channels, and as many columns as its registers have
    room for the sums of (for kernels up to 31).
    """
    block_c = tile(channels, most=64)
    columns = 8 if kernel_size <= 9 else 4 if kernel_size <= 15 else 2
    return 256 // block_c, columns, block_c


def programs_wanted(device: torch.device) -> int:
    """Return how many programs keep the device busy: eight for each multiprocessor.

    That many keep enough reads in flight to use the memory's full bandwidth.
    """
    if device.type != 'cuda':
        return 2
    return 8 * torch.cuda.get_device_properties(device).multi_processor_count


def split(items: int, device: torch.device, *, programs_each: int,
          least: int = 1) -> tuple[int, int]:
    """Divide a sum over `items` into parts; return the items of a part and the number of parts.

    Each part takes `programs_each` programs, and every part but the last has at least
    `least` items. The division depends on the device's size only, so that a sum is the
    same to the last bit every time.
    """
    if not items:
        return 1, 0
    wanted = max(1, programs_wanted(device) // programs_each)
    each = max(least, triton.cdiv(items, wanted))
    return each, triton.cdiv(items, each)

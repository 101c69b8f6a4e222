"""Many small images in one, side by side."""
import math

import numpy as np


def tiled(images: np.ndarray, columns: int, background: float = 1.) -> np.ndarray:
    """Return images in rows, with one pixel of background between them.

    Args:
        images: (N, H, W) or (N, H, W, channels).
        columns: images in a row.
        background: value of the pixels between images and after the last one.

    Returns:
        (rows * (H + 1) - 1, columns * (W + 1) - 1) or the same with channels.
    """
    count, height, width, *channels = images.shape
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + 1), columns * (width + 1), *channels), background,
                    np.result_type(images, np.float32))
    for number, image in enumerate(images):
        top, left = (height + 1) * (number // columns), (width + 1) * (number % columns)
        sheet[top:top + height, left:left + width] = image
    return sheet[:-1, :-1]


def columns_for(count: int) -> int:
    """Return how many of `count` squares to put in a row: about as many as rows, or more.

    Rows are full where that is possible.
    """
    full = next(columns for columns in range(1, count + 1)
                if count % columns == 0 and columns ** 2 >= 0.9 * count)
    return full if full ** 2 <= 3 * count else round(math.sqrt(1.6 * count))

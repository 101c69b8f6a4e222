"""Refuse images with too many pixels before they are decoded: a small file may hold gigabytes."""
import io
import re

from PIL import Image

from mmconvmixer.errors import BadImage


def most_pixels(limit: int | None = None) -> float:
    """Return the pixels that an image may have.

    Args:
        limit: that number. None for the number at which Pillow raises an error: twice
            `PIL.Image.MAX_IMAGE_PIXELS`, by default 178,956,970; no limit if that is None.
    """
    if limit is not None:
        return limit
    return float('inf') if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


def check_pixels(pixels: int, limit: int | None = None) -> None:
    """Raise BadImage if a number of pixels is above a limit; see `most_pixels`."""
    if pixels > most_pixels(limit):
        raise BadImage(f'it has {pixels:,} pixels, more than the limit of '
                       f'{most_pixels(limit):,.0f}; resize it, or set max_pixels')


def check_encoded(content: bytes, limit: int | None = None) -> None:
    """Raise BadImage if the header of an encoded image has more pixels than a limit.

    A file that Pillow does not know passes: OpenCV, which decodes it, has its own limit of 2^30
    pixels.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:  # reads the header only
            width, height = image.size
            pixels = width * height
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow compares with its own limit first, and tells the number only in words.
        pixels = int(re.findall(r'\d+', str(error))[0])
    except Exception:  # readers of headers may raise anything
        return
    check_pixels(pixels, limit)

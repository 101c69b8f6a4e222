"""A PIL image as the array that its file would be read as."""
import numpy as np
from PIL import Image, ImageOps

from mmconvmixer.errors import BadImage

# What `convert('RGB')` turns into the colors that a decoder makes of the file.
_CONVERTED = ('1', 'L', 'LA', 'La', 'P', 'PA', 'RGB', 'RGBA', 'RGBa', 'RGBX', 'CMYK', 'YCbCr',
              'HSV')


def as_array(image: Image.Image, color_type: str = 'color') -> np.ndarray:
    """Return an image's pixels in the order of OpenCV: (H, W), BGR or BGRA.

    Of 16 bits per pixel the upper eight are taken, as a decoder does.

    Args:
        image: a PIL image; an orientation tag is obeyed as `color_type` says.
        color_type: of the pipeline's `LoadImage`. 'unchanged' keeps gray, alpha and 16 bits.

    Raises:
        BadImage: its mode has no 8-bit or 16-bit pixels.
    """
    unchanged = color_type == 'unchanged'
    # Pillow before 11.3 opens a 16-bit PNG in mode I.
    has_16_bits = image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG')
    if not unchanged and not color_type.endswith('_ignore_orientation'):
        image = ImageOps.exif_transpose(image)
    if has_16_bits:
        values = np.asarray(image).astype(np.uint16)
        return values if unchanged else (values >> 8).astype(np.uint8)
    if image.mode not in _CONVERTED:
        raise BadImage(f'its mode is {image.mode}, which has no agreed conversion to 8-bit colors; '
                       "scale the values and convert it, for example with image.convert('L') or "
                       "image.convert('RGB')")
    if unchanged and image.mode in ('1', 'L'):
        return np.asarray(image.convert('L'))
    has_alpha = image.mode in ('RGBA', 'RGBa', 'LA', 'La', 'PA') or 'transparency' in image.info
    if image.mode == 'La':  # Pillow has no other conversion of it
        image = image.convert('LA')
    if unchanged and has_alpha:
        return np.ascontiguousarray(np.asarray(image.convert('RGBA'))[..., [2, 1, 0, 3]])
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])

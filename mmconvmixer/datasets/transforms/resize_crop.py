"""Resize and center-crop in one step that computes only the pixels that are kept."""
from mmcv.transforms import BaseTransform, CenterCrop
from mmpretrain.datasets.transforms import ResizeEdge

from mmconvmixer.datasets.transforms.resampling import (
    FILTERS,
    Axis,
    is_available,
    pillow_order,
    resize_part,
)

# What CenterCrop crops besides the image.
_ANNOTATIONS = ('gt_seg_map', 'gt_bboxes', 'gt_keypoints')


class ResizeCenterCrop(BaseTransform):
    """`ResizeEdge(scale, 'short')` and `CenterCrop(crop_size)`, with the same pixels and keys.

    It is faster than the two if Numba is installed, for gray and three-channel uint8 images
    with backend 'pillow' and 'bilinear' or 'bicubic' interpolation. For anything else it calls
    the two.

    Args:
        scale: pixels of the short edge after resizing.
        crop_size: (width, height) in pixels, or one number for both. An edge that is shorter
            is kept whole.
        backend: as in mmpretrain's `ResizeEdge`.
        interpolation: as in mmpretrain's `ResizeEdge`.
    """

    def __init__(self, scale: int, crop_size: int | tuple[int, int], backend: str = 'cv2',
                 interpolation: str = 'bilinear') -> None:
        self.pair = (ResizeEdge(scale, 'short', backend, interpolation), CenterCrop(crop_size))
        self.scale = scale
        self.crop_size = self.pair[1].crop_size
        self.backend = backend
        self.interpolation = interpolation
        # Compiling here, not at the first image, also serves the processes forked later.
        self.order = (pillow_order(interpolation)
                      if is_available() and backend == 'pillow' and interpolation in FILTERS
                      else None)

    def transform(self, results: dict) -> dict:
        """Return `results` with the new `img` (height, width[, 3]) and the keys of its size."""
        img = results['img']
        if (self.order is None or img.dtype != 'uint8' or img.ndim == 3 and img.shape[2] != 3
                or any(results.get(name) is not None for name in _ANNOTATIONS)):
            resize, crop = self.pair
            return crop(resize(results))
        height, width = img.shape[:2]
        if width < height:
            after = (int(self.scale * height / width), self.scale)
        else:
            after = (self.scale, int(self.scale * width / height))
        axes = [_middle(*axis) for axis in
                zip((height, width), after, reversed(self.crop_size), strict=True)]
        results['img'] = resize_part(img, *axes, self.interpolation, self.order)
        results['img_shape'] = results['pad_shape'] = results['img'].shape[:2]
        results['scale'] = after[::-1]
        results['scale_factor'] = (after[1] / width, after[0] / height)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, crop_size={self.crop_size}, '
                f'backend={self.backend!r}, interpolation={self.interpolation!r})')


def _middle(before: int, after: int, crop: int) -> Axis:
    kept = min(crop, after)
    # Like CenterCrop, round halves to even.
    return Axis(before, after, int(round((after - kept) / 2.)), kept)

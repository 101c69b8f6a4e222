"""Load an image from a path, bytes or an array."""
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile


class LoadImage(LoadImageFromFile):
    """`LoadImageFromFile` that also takes an image in memory.

    It uses the array `img` (H, W), (H, W, 1) or (H, W, 3) BGR uint8 if there is one, else
    decodes `img_bytes` if there are some, else reads the file `img_path`. The same image gives
    the same pixels in all three ways; only a color array that is converted to gray differs, by
    up to 2 of 255, because decoders weight the colors differently.

    Arguments: as in mmcv's `LoadImageFromFile`.
    """

    def transform(self, results: dict) -> dict | None:
        """Return `results` with `img`, `img_shape` and `ori_shape`.

        Raises:
            ValueError: `img_bytes` can't be decoded.
        """
        if 'img' in results:
            img = self._with_channels(results['img'])
        elif 'img_bytes' in results:
            content = results['img_bytes']
            img = None if not content else mmcv.imfrombytes(
                content, self.color_type, backend=self.imdecode_backend)
            if img is None:
                raise ValueError(f'{len(content)} bytes are not in a known image format')
        else:
            return super().transform(results)
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _with_channels(self, img: np.ndarray) -> np.ndarray:
        is_gray = img.ndim == 2 or img.shape[-1] == 1
        if self.color_type == 'grayscale':
            return img.reshape(img.shape[:2]) if is_gray else mmcv.bgr2gray(img)
        if self.color_type == 'color' and is_gray:
            return mmcv.gray2bgr(img)
        return img

"""Images in, whatever they come in: a path, bytes, an array."""
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile


class LoadImage(LoadImageFromFile):
    """`LoadImageFromFile` that also takes an image already in memory.

    Given `img` (H, W) or (H, W, 3) BGR uint8, that array is used; given
    `img_bytes`, they are decoded; else the file `img_path` is read. All three
    end in the same pixels for the same image (within 2 of 255 where a colored
    array is made gray: decoders weigh colors a little differently).

    Args: those of mmcv's `LoadImageFromFile`.
    """

    def transform(self, results: dict) -> dict | None:
        if 'img' in results:
            img = self._with_channels(results['img'])
        elif 'img_bytes' in results:
            content = results['img_bytes']
            img = None if not content else mmcv.imfrombytes(
                content, self.color_type, backend=self.imdecode_backend)
            if img is None:
                raise ValueError(f'{len(content)} bytes in no known image format')
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

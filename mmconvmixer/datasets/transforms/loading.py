"""Load an image from a path, bytes or an array."""
import os

import mmcv
import mmcv.transforms
import numpy as np
from mmengine import fileio

from mmconvmixer.datasets.pixel_limit import check_encoded
from mmconvmixer.errors import BadImage


class LoadImage(mmcv.transforms.LoadImageFromFile):
    """`LoadImageFromFile` that also takes an image in memory.

    It uses the array `img` (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA uint8 if there is
    one, else decodes `img_bytes` if there are some, else reads the file `img_path`. The same
    image gives the same pixels in all three ways; only a color array that is converted to gray
    differs, by up to 2 of 255, because decoders weight the colors differently.

    Args:
        to_float32: as in mmcv's `LoadImageFromFile`.
        color_type: as there.
        imdecode_backend: as there.
        file_client_args: as there.
        ignore_empty: as there.
        backend_args: as there.
        max_pixels: the most pixels of an image, compared before it is decoded. None for
            Pillow's limit, by default 178,956,970; see `datasets.pixel_limit`.
    """

    def __init__(self, to_float32: bool = False, color_type: str = 'color',
                 imdecode_backend: str = 'cv2', file_client_args: dict | None = None,
                 ignore_empty: bool = False, *, backend_args: dict | None = None,
                 max_pixels: int | None = None) -> None:
        super().__init__(to_float32=to_float32, color_type=color_type,
                         imdecode_backend=imdecode_backend, file_client_args=file_client_args,
                         ignore_empty=ignore_empty, backend_args=backend_args)
        self.max_pixels = max_pixels

    def transform(self, results: dict) -> dict | None:
        """Return `results` with `img`, `img_shape` and `ori_shape`.

        Raises:
            BadImage: the file is not a regular file, or the image has too many pixels.
            ValueError: it can't be decoded.
        """
        try:
            if 'img' in results:
                img = self._with_channels(results['img'])
            else:
                img = self._decoded(results['img_bytes'] if 'img_bytes' in results
                                    else self._content(results['img_path']))
        except Exception:
            if self.ignore_empty:
                return None
            raise
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _content(self, path: str) -> bytes:
        if self.file_client_args is not None:
            return fileio.FileClient.infer_client(self.file_client_args, path).get(path)
        check_regular(path)
        return fileio.get(path, backend_args=self.backend_args)

    def _decoded(self, content: bytes) -> np.ndarray:
        check_encoded(content, self.max_pixels)
        img = None if not content else mmcv.imfrombytes(
            content, self.color_type, backend=self.imdecode_backend)
        if img is None:
            raise ValueError(f'{len(content)} bytes are not in a known image format')
        return img

    def _with_channels(self, img: np.ndarray) -> np.ndarray:
        is_gray = img.ndim == 2 or img.shape[-1] == 1
        if self.color_type.startswith('grayscale'):
            return img.reshape(img.shape[:2]) if is_gray else mmcv.bgr2gray(img)
        if self.color_type.startswith('color') and is_gray:
            return mmcv.gray2bgr(img)
        return img


class LoadImageFromFile(LoadImage):
    """`LoadImage` under mmcv's name: pipelines of existing configs are as careful."""


def check_regular(path: str | os.PathLike) -> None:
    """Raise BadImage if a path leads to a pipe or a device, from which reading may never end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise BadImage(f'{path} is not a regular file')

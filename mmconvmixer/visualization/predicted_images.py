"""The images that predictions belong to: files, or a test set that has them in memory."""
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DefaultScope
from PIL import Image

from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.image_files import printable
from mmconvmixer.errors import BadConfig, BadImage
from mmconvmixer.visualization.predictions_file import Predictions
from mmconvmixer.zoo import load_config, require

LARGEST = 512  # pixels of the longer side of a drawn image


class PredictedImages:
    """Give the image (H, W, 3) uint8 RGB of a prediction by its number.

    Args:
        predictions: whose images they are.
        config: path of a config or model name. Its test set is read only if an image is not
            at its path.

    Raises:
        BadImage: (by `[]`) the image is not there or can't be decoded.
        BadConfig: (by `[]`) the test set has other images.
        MMConvMixerError: (by `[]`) the config or its test set can't be had.
    """

    def __init__(self, predictions: Predictions, config: str | Path | None = None) -> None:
        self._predictions, self._config = predictions, config
        self._in_memory: dict[Any, np.ndarray] | None = None

    def __getitem__(self, number: int) -> np.ndarray:
        """Return the image of a prediction."""
        path = self._predictions.paths[number]
        if path is not None and Path(path).is_file():
            return _read(path)
        name = number if path is None else printable(path)
        if self._config is None:
            raise BadImage(f'image {name} of the predictions is not there; draw it in the folder '
                           'in which the model was tested, or give the config whose test set has '
                           'it (--config)')
        if self._in_memory is None:
            self._in_memory = self._test_set(self._config)
        image = self._in_memory.get(number if path is None else path)
        if image is None:
            raise BadImage(f'image {name} of the predictions is neither there nor in the memory of '
                           f'the test set of {self._config}')
        return image

    def _test_set(self, config: str | Path) -> dict[Any, np.ndarray]:
        """Return the images that a test set has in memory.

        They are found by their path, or by their number where the predictions have no paths.
        """
        cfg = load_config(config)
        require(cfg, 'test_dataloader')
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset = build_dataset(cfg.test_dataloader.dataset)
        if not hasattr(dataset, 'get_data_info'):
            raise BadConfig(f'{type(dataset).__name__}, the test set of {config}, does not say '
                            'what its images are')
        infos = [dataset.get_data_info(number) for number in range(len(dataset))]
        labels = self._predictions.labels.tolist()
        by_path = any(path is not None for path in self._predictions.paths)
        if not by_path and [info.get('gt_label') for info in infos] != labels:
            raise BadConfig(f'the {len(labels)} predictions in {self._predictions.name} are not '
                            f'for the {len(infos)} images of the test set of {config}: the labels '
                            'differ')
        preprocessor = cfg.get('data_preprocessor') or cfg.model.get('data_preprocessor') or {}
        return {info.get('img_path') if by_path else number: _as_rgb(
                    np.asarray(info['img']), preprocessor.get('to_rgb', False))
                for number, info in enumerate(infos) if info.get('img') is not None}


def _as_rgb(pixels: np.ndarray, is_bgr: bool) -> np.ndarray:
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels[..., 2::-1] if is_bgr else pixels[..., :3]


def _read(path: str) -> np.ndarray:
    try:
        with Image.open(path) as image:
            image.draft('RGB', (LARGEST, LARGEST))  # JPEG decodes faster to a smaller size
            image = image.convert('RGB')
            image.thumbnail((LARGEST, LARGEST))
            return np.asarray(image)
    except Exception as error:  # decoders may raise anything
        raise BadImage(f"image {printable(path)} can't be decoded: {error}") from error

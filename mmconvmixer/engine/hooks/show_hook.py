"""Write test images with their predictions drawn on them."""
import math
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmpretrain.engine import VisualizationHook


class ShowHook(VisualizationHook):
    """mmpretrain's `VisualizationHook` with three of its faults fixed.

    mmpretrain's hook names a file after the image's base name only, so that `cat/1.png`
    overwrites `dog/1.png`; it takes BGR for RGB; and its text does not fit on images of 32
    pixels. This hook writes `<folder>_<name>.png`, in the right colors, at least 224 pixels
    high and wide. Of several processes, mmengine's visualizer draws only the images of the
    first.

    Arguments: as in `VisualizationHook`.
    """

    SMALLEST = 224

    def _draw_samples(self, batch_idx: int, data_batch: dict, data_samples: Sequence,
                      step: int = 0) -> None:
        images = data_batch['inputs']
        if images[0].ndim == 4:  # with test-time augmentation, the unchanged view comes last
            images = images[-1]
        for sample, image in zip(data_samples, images, strict=True):
            if sample.get('sample_idx', 0) % self.interval or sample.get('unreadable'):
                continue
            path = Path(sample.get('img_path', f'{sample.get("sample_idx", step)}'))
            name = f'{path.parent.name}_{path.name}'.lstrip('_')
            options = dict(self.draw_args)
            if self.out_dir is not None:
                options['out_file'] = str(Path(self.out_dir, f'{Path(name).stem}.png'))
            self._visualizer.visualize_cls(
                self._as_rgb(image.permute(1, 2, 0).cpu().numpy()), sample, name=name,
                step=step, **options)

    def _as_rgb(self, image: np.ndarray) -> np.ndarray:
        image = np.ascontiguousarray(image.astype(np.uint8))
        image = mmcv.gray2rgb(image) if image.shape[-1] == 1 else mmcv.bgr2rgb(image)
        factor = math.ceil(self.SMALLEST / min(image.shape[:2]))
        return np.kron(image, np.ones((factor, factor, 1), np.uint8))

"""TensorFlow prepares images as Pillow and cv2 do."""
import numpy as np
import pytest
from mmcv.transforms import CenterCrop, Resize
from mmpretrain.datasets.transforms import ResizeEdge

from mmconvmixer.deploy.keras_twin.images import check_resizable, prepared
from mmconvmixer.deploy.preprocessing import Preprocessing
from mmconvmixer.deploy.sample_images import sample_images

# Triton, which torch uses, must be imported before TensorFlow; deploy has imported it.
pytest.importorskip('tensorflow', reason='TensorFlow is not installed')


@pytest.mark.parametrize('size', [(307, 241), (241, 311), (36, 36)])
@pytest.mark.parametrize('backend, name, differing', [
    ('pillow', 'bicubic', 0.001), ('pillow', 'bilinear', 0.01), ('pillow', 'lanczos', 0.001),
    ('cv2', 'bicubic', 0.001), ('cv2', 'bilinear', 0.2), ('cv2', 'area', 0.005),
    ('pillow', 'nearest', 0), ('cv2', 'nearest', 0)])
def test_pixels_are_those_of_the_test_pipeline(backend, name, differing, size):
    """Except that some are rounded to a neighboring integer."""
    image = sample_images(1)[0][:size[0], :size[1]]
    result = CenterCrop(32)(ResizeEdge(36, 'short', backend, name)(dict(img=image)))['img']
    preparing = Preprocessing((32, 32), 'short', (36, 36), name, backend == 'pillow', (0., 0., 0.),
                              (1., 1., 1.), 'RGB')
    check_resizable(preparing)
    pixels = prepared(image[None].astype(np.float32), preparing)[0].numpy()
    assert (pixels != result).mean() <= differing
    assert np.abs(pixels - result).max() <= 1


def test_channels_and_exact_sizes():
    """BGR, and edges that shrink or grow independently."""
    image = sample_images(1)[0][:50, :90]
    for size in ((20, 40), (100, 95), (50, 90)):
        result = Resize(size[::-1], interpolation='area')(dict(img=image))['img'][..., ::-1]
        preparing = Preprocessing(size, 'exact', size, 'area', True, (1., 2., 3.), (2., 4., 8.),
                                  'BGR')
        pixels = prepared(image[None].astype(np.float32), preparing)[0].numpy()
        # Rounding after resizing changes a pixel by at most one level.
        assert (np.abs(pixels * [2, 4, 8] + [1, 2, 3] - result) < 1.001).all()

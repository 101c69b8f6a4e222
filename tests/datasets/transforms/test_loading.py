import io

import mmcv
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmconvmixer.datasets import LoadImage


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def ways(data, path, **options):
    """Load the same image by path, as bytes and as an array."""
    path.write_bytes(data)
    array = mmcv.imfrombytes(data, 'unchanged')
    load = LoadImage(**options)
    return [load(dict(img_path=str(path))), load(dict(img_bytes=data)),
            load(dict(img=array, img_path='nowhere.png'))]


@pytest.mark.parametrize('kind', ['png', 'jpeg', 'bmp'])
@pytest.mark.parametrize('mode', ['color', 'gray'])
@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
@pytest.mark.parametrize('to_float32', [False, True])
def test_path_bytes_and_array_give_the_same_pixels(
        tmp_path, image, kind, mode, color_type, to_float32):
    data = encoded(image if mode == 'color' else image[..., 0], kind)
    options = dict(color_type=color_type, to_float32=to_float32)
    expected = LoadImageFromFile(**options)
    results = ways(data, tmp_path / 'image', **options)
    truth = expected(dict(img_path=str(tmp_path / 'image')))
    assert truth['img'].shape == ((9, 11, 3) if color_type == 'color' else (9, 11))
    if (mode, color_type) == ('color', 'grayscale'):
        results.pop()  # decoders convert to gray differently from mmcv's function for arrays
    for result in results:
        np.testing.assert_array_equal(result['img'], truth['img'])
        assert result['img'].dtype == truth['img'].dtype
        assert result['img_shape'] == result['ori_shape'] == (9, 11)


def test_colors_are_blue_green_red(tmp_path, image):
    for result in ways(encoded(image, 'png'), tmp_path / 'image'):
        np.testing.assert_array_equal(result['img'], image[..., ::-1])


@pytest.mark.parametrize('shape', [(9, 11), (9, 11, 1)])
def test_gray_arrays_get_three_equal_channels(image, shape):
    gray = image[..., 0].reshape(shape)
    img = LoadImage()(dict(img=gray))['img']
    assert img.shape == (9, 11, 3)
    assert (img == image[..., :1]).all()


def test_a_color_array_becomes_gray_as_in_a_decoder_within_rounding(tmp_path, image):
    path, _, array = ways(encoded(image, 'png'), tmp_path / 'image',
                          color_type='grayscale')
    assert array['img'].shape == (9, 11)
    np.testing.assert_allclose(array['img'].astype(int), path['img'], rtol=0, atol=2)


def test_other_keys_are_kept(image):
    result = LoadImage()(dict(img=image, gt_label=3, img_path='a.png'))
    assert (result['gt_label'], result['img_path']) == (3, 'a.png')


def test_a_rotated_photograph_is_rotated_back_by_path_and_by_bytes(tmp_path, image):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    data = encoded(image, 'jpeg', exif=exif)
    (tmp_path / 'image').write_bytes(data)
    shapes = [LoadImage()(dict(img_path=str(tmp_path / 'image')))['img_shape'],
              LoadImage()(dict(img_bytes=data))['img_shape']]
    assert shapes == [(11, 9), (11, 9)]


@pytest.mark.parametrize('data', [b'no image', b'\x89PNG\r\n\x1a\n', b''])
def test_bytes_that_are_not_an_image_are_a_value_error(data):
    with pytest.raises(ValueError, match='image format'):
        LoadImage()(dict(img_bytes=data))

import io

import mmcv
import numpy as np
import pytest
from PIL import Image

from mmconvmixer.datasets.pil_image import as_array
from mmconvmixer.errors import BadImage


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (9, 11, 4), np.uint8)


@pytest.fixture
def gray16():
    return np.random.default_rng(0).integers(0, 65536, (9, 11)).astype(np.uint16)


def by_file(image, color_type, kind='PNG'):
    """Return what OpenCV makes of the image's file."""
    file = io.BytesIO()
    image.save(file, kind)
    return mmcv.imfrombytes(file.getvalue(), color_type, backend='cv2')


@pytest.mark.parametrize('color_type', ['color', 'unchanged'])
@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA'])
def test_eight_bits_are_as_in_the_file(pixels, mode, color_type):
    image = Image.fromarray(pixels)
    image = image.convert('RGB').quantize(7) if mode == 'P' else image.convert(mode)
    np.testing.assert_array_equal(as_array(image, color_type), by_file(image, color_type))


@pytest.mark.parametrize('kind', ['PNG', 'TIFF'])
def test_of_sixteen_bits_the_upper_eight_are_taken_as_in_the_file(gray16, kind):
    image = Image.fromarray(gray16)
    assert image.mode == 'I;16'
    np.testing.assert_array_equal(as_array(image), gray16 // 256)
    np.testing.assert_array_equal(by_file(image, 'grayscale', kind), gray16 // 256)
    np.testing.assert_array_equal(as_array(image, 'unchanged'), gray16)


@pytest.mark.parametrize('mode, dtype', [('I;16', '<u2'), ('I;16B', '>u2')])
def test_either_order_of_bytes(gray16, mode, dtype):
    image = Image.frombytes(mode, (11, 9), gray16.astype(dtype).tobytes())
    np.testing.assert_array_equal(as_array(image), gray16 // 256)


def test_a_16_bit_png_in_mode_i_of_an_older_pillow(gray16):
    image = Image.fromarray(gray16.astype(np.int32))
    image.format = 'PNG'
    assert image.mode == 'I'
    np.testing.assert_array_equal(as_array(image), gray16 // 256)


@pytest.mark.parametrize('mode', ['I', 'F', 'LAB'])
def test_values_without_an_agreed_range_are_refused(mode):
    with pytest.raises(BadImage, match=f'its mode is {mode}.*image.convert'):
        as_array(Image.new(mode, (4, 4)))


@pytest.mark.parametrize('mode', ['La', 'RGBa', 'PA', 'HSV', 'YCbCr', 'CMYK', 'RGBX'])
def test_every_other_mode_is_converted(mode):
    image = Image.new('RGB', (4, 4), (255, 255, 255))
    for step in {'La': ['LA', 'La'], 'RGBa': ['RGBA', 'RGBa'], 'PA': ['RGBA', 'PA']}.get(
            mode, [mode]):
        image = image.convert(step)
    assert (as_array(image) >= 250).all() and as_array(image).shape == (4, 4, 3)


@pytest.mark.parametrize('color_type, shape', [
    ('color', (11, 9, 3)), ('color_ignore_orientation', (9, 11, 3)), ('unchanged', (9, 11, 3))])
def test_the_orientation_is_obeyed_as_in_the_file(pixels, color_type, shape):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels[..., :3]).save(file, 'PNG', exif=exif)
    assert as_array(Image.open(file), color_type).shape == shape

import io

import numpy as np
import pytest
from PIL import Image

from mmconvmixer import Predictor
from mmconvmixer.datasets.pixel_limit import check_encoded, check_pixels, most_pixels
from mmconvmixer.errors import BadImage


@pytest.fixture
def image():
    return Image.fromarray(np.full((8, 9), 7, np.uint8))


def encoded(image, kind='PNG'):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_the_limit_is_pillows_unless_one_is_given(monkeypatch):
    assert most_pixels() == 178_956_970 and most_pixels(5) == 5
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    assert most_pixels() == 20
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', None)
    assert most_pixels() == float('inf')


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'GIF', 'BMP', 'TIFF', 'WEBP', 'PPM'])
def test_the_header_decides(image, kind):
    check_encoded(encoded(image, kind), 72)
    with pytest.raises(BadImage, match='72 pixels, more than the limit of 71'):
        check_encoded(encoded(image, kind), 71)


@pytest.mark.parametrize('given', [None, 71, 72])
def test_a_limit_above_or_below_pillows_holds(image, given, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 5)
    if given == 72:
        check_encoded(encoded(image), 72)
        return
    with pytest.raises(BadImage, match='72 pixels, more than the limit'):
        check_encoded(encoded(image), given)


def test_what_pillow_does_not_know_is_left_to_the_decoder():
    check_encoded(b'not an image', 1)


def test_a_number_of_pixels():
    check_pixels(10, 10)
    with pytest.raises(BadImage, match='set max_pixels'):
        check_pixels(11, 10)


def test_no_form_of_an_image_is_decoded_above_the_limit(image, tmp_path, monkeypatch):
    ask = Predictor('convmixer-64-4_digits', max_pixels=71)
    image.save(tmp_path / 'a.png')
    monkeypatch.setattr('mmcv.imfrombytes', None)  # a decoder that must not be asked
    for form in (tmp_path / 'a.png', encoded(image), Image.open(tmp_path / 'a.png'), image):
        with pytest.raises(BadImage, match='72 pixels, more than the limit of 71'):
            ask(form)
    monkeypatch.undo()
    assert 'pred_label' in Predictor(ask.model, max_pixels=72)(tmp_path / 'a.png')

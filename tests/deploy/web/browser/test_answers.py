"""The page answers what Python answers."""
import numpy as np
import pytest
from PIL import Image

from mmconvmixer.deploy.sample_images import odd_images, sample_images


def test_twenty_images_have_the_answers_of_the_predictor(visit, unpacked, choose, expected_of):
    paths = sorted(unpacked('cifar10', 'test').rglob('*.png'))[::500][:20]
    page = visit()
    for path in paths:
        names, scores = choose(page, path)
        expected_names, expected_scores = expected_of(path)
        assert names == expected_names
        np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    assert len(paths) == 20


def test_photographs_of_every_shape_have_the_answers_of_the_predictor(
        visit, file_of, choose, expected_of):
    page = visit()
    for number, image in enumerate([*sample_images(4), *odd_images()]):
        path = file_of(image, f'{number}.png')
        names, scores = choose(page, path)
        expected_names, expected_scores = expected_of(path)
        assert names == expected_names
        np.testing.assert_allclose(scores, expected_scores, atol=0.005)


def test_a_jpeg_that_lies_on_its_side_is_turned(visit, file_of, choose, expected_of):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    path = file_of(sample_images(1)[0], 'turned.jpg', exif=exif, quality=95)
    names, scores = choose(visit(), path)
    expected_names, expected_scores = expected_of(path)
    assert names[0] == expected_names[0]
    np.testing.assert_allclose(scores, expected_scores, atol=0.02)


def test_a_large_image_is_made_smaller_and_a_huge_one_is_refused(
        visit, tmp_path, choose, expected_of):
    page = visit()
    large = tmp_path / 'large.png'
    Image.fromarray(sample_images(1)[0]).resize((5000, 4000)).save(large, compress_level=1)
    names, scores = choose(page, large)
    expected_names, expected_scores = expected_of(large)
    assert names[0] == expected_names[0]
    np.testing.assert_allclose(scores, expected_scores, atol=0.02)
    assert 'It was made smaller first' in page.inner_text('#seen')
    huge = tmp_path / 'huge.png'
    Image.new('1', (20_000, 9_000)).save(huge)
    assert choose(page, huge) == ('huge.png has 180,000,000 pixels, more than the 178,956,970 that '
                                  'this page takes. Make it smaller first.')


def test_webgpu_gives_the_same_answers(
        visit, webgpu_of, file_of, choose, settled, expected_of):
    page, path = visit(), file_of(sample_images(1)[0])
    if webgpu_of(page) is None:
        pytest.skip('this Chromium has no WebGPU')
    choose(page, path)
    page.evaluate("set('status', '')")
    page.check('[value=webgpu]')
    names, scores = settled(page)
    expected_names, expected_scores = expected_of(path)
    assert names == expected_names
    np.testing.assert_allclose(scores, expected_scores, atol=1e-2)
    assert 'by WebGPU' in page.inner_text('#time')

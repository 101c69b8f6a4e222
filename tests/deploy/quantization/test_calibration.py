"""Calibration images: which ones are used, and how they are prepared."""
import numpy as np
import pytest
import torch

from mmconvmixer import Predictor
from mmconvmixer.deploy.quantization import calibration, calibration_batches
from mmconvmixer.errors import BadImage, DatasetNotFound


@pytest.fixture
def said(monkeypatch):
    """The lines that were logged."""
    lines = []
    monkeypatch.setattr(calibration, 'print_log', lambda line, *args: lines.append(line))
    return lines


def test_images_are_prepared_as_in_evaluation(digits, digit_images):
    batches = calibration_batches(digits, digit_images, 60)
    paths = sorted(digit_images.rglob('*.png'))
    answers = Predictor(digits)([str(path) for path in paths])
    with torch.no_grad():
        scores = digits(torch.from_numpy(np.concatenate(batches))).softmax(1)
    for score, answer in zip(scores.numpy(), answers, strict=True):
        np.testing.assert_allclose(score, answer['pred_scores'], atol=1e-5)


def test_images_are_evenly_spaced_so_that_no_class_is_left_out(
        digits, digit_images, said, monkeypatch):
    taken = []
    prepare = calibration.ImagePipeline.__call__
    monkeypatch.setattr(calibration.ImagePipeline, '__call__',
                        lambda self, path: taken.append(path) or prepare(self, path))
    assert len(calibration_batches(digits, digit_images, 20)) == 20
    assert {path.parent.name for path in taken} == set('0123456789')
    every = sorted(digit_images.rglob('*.png'))
    places = [every.index(path) for path in taken]
    assert set(np.diff(places)) == {3}
    assert said == []


def test_too_few_images_are_all_used_and_that_is_logged(digits, digit_images, said):
    assert len(calibration_batches(digits, digit_images, 61)) == 60
    assert len(said) == 1 and '60 images, 61 were asked for' in said[0]


def test_a_corrupt_image_is_named_and_left_out(digits, image_folder, tmp_path, said):
    paths = image_folder(tmp_path, 6)
    paths[2].write_bytes(b'not an image')
    assert len(calibration_batches(digits, tmp_path, 6)) == 5
    assert str(paths[2]) in said[0]


def test_a_folder_of_nothing_but_corrupt_images_is_an_error(digits, image_folder, tmp_path):
    for path in image_folder(tmp_path, 3):
        path.write_bytes(b'not an image')
    with pytest.raises(BadImage, match='none of the 3 calibration images'):
        calibration_batches(digits, tmp_path)


def test_a_folder_without_images_or_none_at_all_is_an_error(digits, tmp_path):
    (tmp_path / 'notes.txt').write_text('not an image')
    with pytest.raises(BadImage, match='has no image in it'):
        calibration_batches(digits, tmp_path)
    with pytest.raises(DatasetNotFound, match='nowhere is not there'):
        calibration_batches(digits, tmp_path / 'nowhere')


def test_images_of_several_sizes_need_a_pipeline_that_resizes(digits, image_folder, tmp_path):
    image_folder(tmp_path / 'small', 1)
    image_folder(tmp_path / 'tall', 1, size=16)
    load, _, pack = digits._config.test_dataloader.dataset.pipeline
    digits._config.test_dataloader.dataset.pipeline = [load, pack]
    with pytest.raises(BadImage, match='is 16 x 16, those before are 8 x 8'):
        calibration_batches(digits, tmp_path)

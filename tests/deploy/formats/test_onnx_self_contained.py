"""Resizing inside a self-contained file."""
import cv2
import numpy as np
import pytest

from mmconvmixer.deploy.formats import onnx_self_contained

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')


@pytest.fixture(scope='module')
def resized_by_area():
    model = onnx.parser.parse_model(f"""{onnx_self_contained._HEADER}
        area (uint8[1, 3, h, w] pixels, int64[2] sizes) => (uint8[1, 3, new_h, new_w] resized)
        {{
            shape = Shape <start = 2> (pixels)
            {onnx_self_contained._resize_by_area()}
        }}""")
    session = onnxruntime.InferenceSession(model.SerializeToString())

    def run(image, height, width):
        planes = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
        return session.run(None, dict(pixels=planes, sizes=np.array([height, width])))[0][
            0].transpose(1, 2, 0)
    return run


def differences(resized_by_area, before, after):
    """Return how far random pixels are from OpenCV's, in gray levels."""
    image = np.random.default_rng(0).integers(0, 256, (*before, 3), np.uint8)
    expected = cv2.resize(image, after[::-1], interpolation=cv2.INTER_AREA)
    return np.abs(resized_by_area(image, *after).astype(int) - expected)


@pytest.mark.parametrize(('before', 'after'), [
    ((500, 700), (224, 224)),  # both edges shrink
    ((20, 31), (32, 32)),  # both grow
    ((30, 517), (32, 32)), ((297, 20), (32, 32)),  # one grows
    ((32, 32), (32, 32))])
def test_area_is_that_of_opencv(resized_by_area, before, after):
    assert differences(resized_by_area, before, after).max() <= 1


def test_places_on_an_old_pixel_may_be_rounded_to_its_neighbor(resized_by_area):
    """OpenCV computes them in float64: every 28th row of 224 is at 25 or just below."""
    rows = (differences(resized_by_area, (200, 700), (224, 224)) > 1).any((1, 2))
    assert set(np.flatnonzero(rows) % 28) <= {0}

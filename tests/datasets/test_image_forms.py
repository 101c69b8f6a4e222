"""What is one image, what is several, and what is said of anything else."""
import base64
import io
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmconvmixer.datasets.image_forms import as_sample, is_single
from mmconvmixer.errors import BadImage


class OldSequence:
    """It can be iterated without `__iter__`, as torch's datasets can."""

    def __getitem__(self, index):
        return ['a.png', 'b.png'][index]


class VideoReader:
    """Like mmcv's: it reads a frame at a time, and yields them."""

    def read(self):
        return np.zeros((8, 8, 3), np.uint8)

    def __iter__(self):
        yield self.read()


class ArrayLike:

    def __array__(self, dtype=None, copy=None):
        return np.zeros((8, 8), np.uint8)


@pytest.fixture
def png(tmp_path) -> Path:
    path = tmp_path / 'an image.png'
    Image.new('L', (8, 8)).save(path)
    return path


@pytest.mark.parametrize('form', [bytes, bytearray, memoryview])
def test_encoded_bytes_of_every_type_are_an_image(png, form):
    assert as_sample(form(png.read_bytes())) == dict(img_bytes=png.read_bytes())


@pytest.mark.parametrize(('make', 'advice'), [
    (lambda path: path.parent.glob('*.png'), r'list\(\.\.\.\) of it, or call Predictor.stream'),
    (lambda path: (each for each in [path]), r'list\(\.\.\.\)'),
    (lambda path: iter([path]), r'list\(\.\.\.\)'),
    (lambda path: deque([path]), r'list\(\.\.\.\)'),
    (lambda path: {path: 1}.keys(), r'list\(\.\.\.\)'),
    (lambda path: [path], 'in one list, without lists in it'),
    (lambda path: OldSequence(), r'list\(\.\.\.\)'),
    (lambda path: np.array([str(path)] * 2), r'list\(array\)'),
    (lambda path: np.array([path.read_bytes()]), r'list\(array\)'),
    (lambda path: np.array(str(path)), r'array\.item\(\)'),
    (lambda path: ArrayLike(), r'numpy\.asarray\(\.\.\.\)'),
    (lambda path: f'ftp://host{path}', 'nothing here reads ftp://; give a path'),
    (lambda path: io.BytesIO(path.read_bytes()), r'its bytes: \.getvalue\(\)'),
    (lambda path: path.open('rb'), r'its bytes: \.read\(\)'),
    (lambda path: path.open(), r'"rb".*\.splitlines\(\)'),
    (lambda path: torch.zeros(3, 8, 8), r'NumPy array \(H, W, 3\)'),
    (lambda path: path.as_uri(), r'give the path: .*/an image\.png$'),
    (lambda path: f'FILE:{path}', r'give the path: .*/an image\.png$'),
    (lambda path: 'file://[', 'give the path'),
    (lambda path: 'data:image/png;base64,' + base64.b64encode(path.read_bytes()).decode(),
     'base64.b64decode'),
    (lambda path: None, 'got NoneType$'),
])
def test_what_is_not_an_image_is_refused_with_the_way_to_give_it(png, make, advice):
    with pytest.raises(BadImage, match=advice):
        as_sample(make(png))


@pytest.mark.parametrize('one', [
    'a.png', Path('a.png'), b'bytes', bytearray(b'bytes'), memoryview(b'bytes'),
    np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((3, 8, 8)),
    torch.zeros(3, 8, 8), Image.new('L', (8, 8)), io.BytesIO(b'bytes'), io.StringIO('a.png'),
    ArrayLike(), dict, 5, None])
def test_what_yields_no_images_is_a_single_one(one):
    assert is_single(one)


@pytest.mark.parametrize('several', [
    ['a.png'], ('a.png',), {'a.png'}, iter(['a.png']), OldSequence(), np.array(['a.png']),
    np.array([Path('a.png')]), VideoReader(), np.zeros((2, 8, 8, 3), np.uint8),
    np.zeros((2, 8, 8), np.uint8)])
def test_what_yields_images_is_several(several):
    assert not is_single(several)


@pytest.mark.parametrize('path', ['s3://bucket/a.png', 'cluster:s3://bucket/a.png'])
def test_what_a_storage_backend_reads_is_left_to_it(path):
    assert as_sample(path) == dict(img_path=path)

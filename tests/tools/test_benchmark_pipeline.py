import re

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for number, size in enumerate([(40, 60, 3), (61, 37, 3), (50, 50)]):
        Image.fromarray(generator.integers(0, 256, size, np.uint8)).save(
            tmp_path / f'{number}.jpg')
    return tmp_path


def test_it_compares_the_inputs_and_prints_the_times_of_every_stage(tool, folder):
    run = tool('benchmark_pipeline', folder, '--rounds', 2, '--batch-size', 2, experiment=False)
    assert run.code == 0, run.err
    assert '3 images in batches of 2, 2 rounds' in run.out
    assert 'largest difference of a network input: 0\n' in run.out
    for stage in ('decode', 'resize and crop', 'pack', 'collate and normalize', 'all'):
        before, after, ratio = map(float, re.search(
            rf'^{stage} +([\d.]+) \(\S+\) +([\d.]+) \(\S+\) +([\d.]+)$', run.out,
            re.MULTILINE).groups())
        assert before > 0 and after > 0 and ratio > 0
    for count in ('1 thread', '2 threads'):
        for name in ('mmpretrain', 'here'):
            assert re.search(rf'^{count}, by the clock: {name} \d+ images/s', run.out, re.M)


def test_inputs_that_differ_are_not_timed(tool, folder, monkeypatch):
    monkeypatch.setattr('mmconvmixer.datasets.data_preprocessor.normalize',
                        lambda images, mean, std, flip: images.float())
    with pytest.raises(SystemExit, match='different inputs'):
        tool('benchmark_pipeline', folder, '--rounds', 1, experiment=False)


def test_a_folder_without_images_is_an_error(tool, tmp_path):
    run = tool('benchmark_pipeline', tmp_path, experiment=False)
    assert run.code == 2
    assert 'has no image in it' in run.err

"""LiteRT as a backend."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from mmconvmixer.deploy.backends import auto, build_backend, litert, torch_eager
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.sample_images import sample_batch

pytest.importorskip('tensorflow', reason='TensorFlow is not installed')


def job_of(model):
    return Job(model, preprocessing_of(model))


def error(run, images, job):
    """The largest error of the logits, relative to the largest logit."""
    expected = torch_eager.build(job, 'float32')(images)
    logits = run(images)
    assert logits.shape == expected.shape and logits.dtype == torch.float32
    return (logits - expected).abs().max() / expected.abs().max()


@pytest.mark.parametrize('family', ['convmixer', 'mixer'])
def test_one_program_computes_any_number_of_images(family, request):
    job = job_of(request.getfixturevalue(family)())
    run = build_backend(job, 'litert', 'float32')
    for count in (3, 1, 8, 1):
        assert error(run, torch.from_numpy(sample_batch(job.preprocessing, count)), job) < 1e-5


@pytest.mark.parametrize('family', ['convmixer', 'mixer'])
def test_int8_is_calibrated_and_passes_the_comparison_of_auto(family, request):
    job = job_of(request.getfixturevalue(family)())
    images = torch.from_numpy(sample_batch(job.preprocessing, 4))
    run = build_backend(job, 'litert', 'int8', [images.numpy()])
    assert 1e-4 < error(run, images, job) < auto.TOLERANCES['int8']


def test_it_computes_with_as_many_threads_as_torch(convmixer, monkeypatch):
    asked, reader = [], litert.litert.reader

    def recorded(path, threads, xnnpack):
        asked.append(threads)
        return reader(path, threads, xnnpack)
    monkeypatch.setattr(litert.litert, 'reader', recorded)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)
    litert.build(job_of(convmixer()), 'float32')
    assert asked == [3]


def test_auto_times_it(convmixer, monkeypatch):
    lines = []
    monkeypatch.setattr(auto, 'print_log', lambda line, *args, **kwargs: lines.append(line))
    auto.fastest(job_of(convmixer()), ['torch', 'litert'], 'float32', None, 1)
    line, = lines
    assert 'torch in float32' in line and 'litert in float32' in line


def test_auto_does_not_try_int8_which_costs_more_accuracy_than_the_others(convmixer, monkeypatch):
    tried = []
    monkeypatch.setattr('mmconvmixer.deploy.backends.build.fastest',
                        lambda job, names, *others: tried.extend(names))
    job = job_of(convmixer())
    build_backend(job, 'auto', 'float32')
    assert 'litert' in tried
    tried.clear()
    build_backend(job, 'auto', 'int8', [np.zeros((1, *job.input_shape), np.float32)])
    assert tried and 'litert' not in tried


def test_threads_take_turns(convmixer):
    job = job_of(convmixer())
    run = build_backend(job, 'litert', 'float32')
    images = torch.randn(1, *job.input_shape)
    expected = run(images)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(each, expected) for each in pool.map(run, [images] * 40))

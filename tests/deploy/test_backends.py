"""Backends: which one `auto` takes, and which ones it leaves out."""
import pytest
import torch

from mmconvmixer.deploy.backends import auto, build_backend, torch_compiled, torch_eager
from mmconvmixer.deploy.backends.static_batches import static_batches
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.sample_images import sample_batch
from mmconvmixer.errors import UnknownOption


@pytest.fixture
def job(convmixer):
    model = convmixer()
    return Job(model, preprocessing_of(model))


@pytest.fixture
def said(monkeypatch):
    """The lines that were logged."""
    lines = []
    for module in ('deploy.backends.auto', 'deploy.backends.build', '_support.processor'):
        monkeypatch.setattr(f'mmconvmixer.{module}.print_log',
                            lambda line, *args, **kwargs: lines.append(line))
    return lines


def slowly(run):
    def wrapped(images):
        torch.ones(1000, 1000) @ torch.ones(1000, 1000)
        return run(images)
    return wrapped


def test_auto_takes_the_fastest(job, said, monkeypatch):
    eager = torch_eager.build
    monkeypatch.setattr(torch_compiled, 'build', lambda *args: slowly(eager(*args)))
    images = torch.randn(2, 3, 32, 32)
    run = auto.fastest(job, ['torch', 'compile'], 'float32', None, 1)
    assert said[-1].startswith('auto: torch in float32')
    monkeypatch.setattr(torch_compiled, 'build', eager)
    monkeypatch.setattr(torch_eager, 'build', lambda *args: slowly(eager(*args)))
    auto.fastest(job, ['torch', 'compile'], 'float32', None, 1)
    assert said[-1].startswith('auto: compile in float32')
    torch.testing.assert_close(run(images), eager(job, 'float32')(images))


def test_auto_leaves_out_backends_with_other_outputs_or_errors(job, said, monkeypatch):
    eager = torch_eager.build
    for broken in (lambda *args: lambda images: 1.01 * eager(*args)(images),
                   lambda *args: lambda images: torch.full((len(images), 10), float('nan')),
                   lambda *args: 1 / 0):
        monkeypatch.setattr(torch_compiled, 'build', broken)
        auto.fastest(job, ['compile', 'torch'], 'float32', None, 1)
        assert 'compile' in said[-2]
        assert said[-1].startswith('auto: torch in float32')


def test_a_program_for_one_batch_size_computes_smaller_ones():
    made = []

    def build(size):
        made.append(size)

        def run(images):
            assert len(images) == size
            return images.sum((1, 2, 3))
        return run

    run = static_batches(build)
    for count in (8, 5, 8, 1, 2, 1, 9):
        images = torch.randn(count, 3, 4, 4)
        torch.testing.assert_close(run(images), images.sum((1, 2, 3)))
    assert made == [8, 1, 9]  # one image occurred again, five and two did not

    made.clear()
    run = static_batches(build, size_for=lambda count: 4)
    for count in (1, 3, 4):
        assert len(run(torch.randn(count, 3, 4, 4))) == count
    assert made == [4]


@pytest.mark.parametrize('precision', ['bfloat16', 'int8'])
def test_a_processor_without_a_precision_computes_in_float32_and_logs_it(
        job, said, processor, precision):
    processor('with AVX2 alone')
    images = [sample_batch(job.preprocessing, 2)]
    run = build_backend(job, 'auto' if precision == 'int8' else 'torch', precision, images)
    assert any('computing in float32' in line for line in said)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(run(images), torch_eager.build(job, 'float32')(images),
                               rtol=1e-4, atol=1e-5)


def test_a_processor_with_a_precision_computes_in_it(job, said, processor):
    processor('with VNNI and bfloat16')
    run = build_backend(job, 'torch', 'bfloat16')
    assert said == ['logits are computed by torch in bfloat16']
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(run(images), torch_eager.build(job, 'bfloat16')(images))


def test_auto_without_a_working_backend_is_an_error(job, said, monkeypatch):
    monkeypatch.setattr(torch_eager, 'build', lambda *args: 1 / 0)
    with pytest.raises(UnknownOption, match='no installed backend'):
        auto.fastest(job, ['torch'], 'float32', None, 1)

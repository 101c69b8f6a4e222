"""Backends: which one `auto` takes, and which ones it leaves out."""
import time
from types import SimpleNamespace

import pytest
import torch

from mmconvmixer import get_model
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


def test_auto_leaves_out_litert_in_one_line_where_a_network_has_no_keras_twin(said):
    head = dict(type='MultiLabelLinearClsHead', num_classes=10, in_channels=64, _delete_=True)
    model = get_model('convmixer-64-4_digits', head=head)
    auto.fastest(Job(model, preprocessing_of(model)), ['torch', 'litert'], 'float32', None, 1)
    left_out, choice = said
    assert left_out.startswith('auto: litert does not run this network (BadConfig: TensorFlow')
    assert 'MultiLabelLinearClsHead' in left_out and '\n' not in left_out
    assert choice.startswith('auto: torch in float32')


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


def test_a_processor_without_bfloat16_computes_in_float32_and_logs_it(job, said, processor):
    processor('with AVX2 alone')
    run = build_backend(job, 'torch', 'bfloat16')
    assert said == ['this processor has no bfloat16 instructions: computing in float32',
                    'logits are computed by torch in float32']
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(run(images), torch_eager.build(job, 'float32')(images))


@pytest.fixture
def runtimes(monkeypatch):
    """Replace both runtimes with int8 by functions with these outputs and seconds."""
    def replace(job, seconds):
        eager = torch_eager.build(job, 'float32')

        def build(name):
            def run(precision):
                def wait(images):
                    time.sleep(seconds[name, precision])
                    return eager(images)
                return wait
            return lambda job, precision, calibration=None: run(precision)
        monkeypatch.setattr(auto, 'load_backend', lambda name: SimpleNamespace(build=build(name)))
    return replace


@pytest.mark.parametrize('kind, int8_takes, chosen', [
    ('with AVX2 alone', 0.01, 'openvino in int8'), ('with AVX2 alone', 0.05, 'openvino in float32'),
    ('with VNNI and bfloat16', 0.05, 'openvino in int8')])
def test_where_int8_may_gain_nothing_auto_compares_it_with_float32(
        job, said, processor, runtimes, kind, int8_takes, chosen):
    processor(kind)
    runtimes(job, {('openvino', 'int8'): int8_takes, ('openvino', 'float32'): 0.03,
                   ('onnxruntime', 'int8'): 0.08, ('onnxruntime', 'float32'): 0.08})
    auto.fastest(job, ['onnxruntime', 'openvino'], 'int8', None, 1)
    assert said[-1].startswith(f'auto: {chosen} (images per second: onnxruntime in int8 ')
    assert ('openvino in float32' in said[-1]) == (kind == 'with AVX2 alone')


def test_int8_is_computed_on_a_processor_without_instructions_for_it(job, said, processor):
    for package in ('openvino', 'nncf'):
        pytest.importorskip(package)
    processor('with AVX2 alone')
    images = torch.from_numpy(sample_batch(job.preprocessing, 4))
    run = build_backend(job, 'openvino', 'int8', [images.numpy()])
    assert said == ['logits are computed by openvino in int8']
    expected = torch_eager.build(job, 'float32')(images)
    difference = (run(images) - expected).abs().max() / expected.abs().max()
    assert 1e-4 < difference < auto.TOLERANCES['int8']


def test_what_openvino_computes_in_is_read_back_from_it(job, said, processor):
    """It takes the hint 'bf16' on every processor, also where it computes in float32."""
    openvino = pytest.importorskip('openvino')
    processor('with VNNI and bfloat16')
    run = build_backend(job, 'openvino', 'bfloat16')
    images = torch.from_numpy(sample_batch(job.preprocessing, 2))
    expected = torch_eager.build(job, 'float32')(images)
    difference = (run(images) - expected).abs().max() / expected.abs().max()
    if 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        assert said == ['logits are computed by openvino in bfloat16'] and difference > 1e-4
    else:
        assert said == ['logits are computed by openvino in float32, which does not compute in '
                        'bfloat16 here']
        assert difference < 1e-5
        auto.fastest(job, ['openvino'], 'bfloat16', None, 1)
        assert said[-1].startswith('auto: openvino in float32 ')


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

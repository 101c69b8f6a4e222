"""`.pte` files, run by ExecuTorch with XNNPACK."""
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.deploy import export
from mmconvmixer.deploy.formats import executorch
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization import calibration_batches
from mmconvmixer.deploy.quantization.accuracy import TestSet, top1
from mmconvmixer.deploy.sample_images import sample_batch, sample_images
from mmconvmixer.errors import BadConfig, UnknownOption
from mmconvmixer.zoo.config import load_config

pytest.importorskip('executorch', reason='ExecuTorch is not installed')
from executorch.exir._serialize._program import deserialize_pte_binary  # noqa: E402


@pytest.fixture(params=['GELU', 'ReLU, even kernel', 'MLP-Mixer with tanh'])
def network(request, convmixer, mixer):
    """The network of this test's parameter."""
    if request.param == 'GELU':
        return convmixer()
    if request.param.startswith('ReLU'):
        return convmixer(act='ReLU', kernel_size=4)
    model = mixer()
    for module in model.modules():
        if isinstance(module, nn.GELU):
            module.approximate = 'tanh'
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return model


def job_of(model, **options):
    return Job(model, preprocessing_of(model), **options)


def expected_of(job, images):
    with torch.no_grad():
        return job.network(torch.from_numpy(images)).numpy()


def plan_of(path):
    """What the runtime is told to do."""
    return deserialize_pte_binary(path.read_bytes()).program.execution_plan[0]


def test_any_number_of_images_is_computed_by_xnnpack_alone(network, tmp_path, error):
    job, path = job_of(network), tmp_path / 'net.pte'
    executorch.write(job, path)
    plan = plan_of(path)
    assert [delegate.id for delegate in plan.delegates] == ['XnnpackBackend']
    assert plan.operators == []  # of other kernels
    run, images = executorch.reader(path), sample_batch(job.preprocessing, executorch.LARGEST_BATCH)
    expected = expected_of(job, images)
    for count in (1, 3, 8, executorch.LARGEST_BATCH):
        assert error(run(images[:count]), expected[:count]) < 1e-5
    with pytest.raises(RuntimeError, match='set_inputs'):
        run(np.concatenate([images, images]))


def test_a_static_file_of_features_takes_one_image(convmixer, tmp_path, error):
    job, path = job_of(convmixer(), features=True, dynamic_batch=False), tmp_path / 'net.pte'
    executorch.write(job, path)
    run, images = executorch.reader(path), sample_batch(job.preprocessing, 2)
    first, second = run(images[:1]), run(images[1:])
    assert error(np.concatenate([first, second]), expected_of(job, images)) < 1e-5
    with pytest.raises(RuntimeError, match='set_inputs'):
        run(images)


def test_int8_is_close_to_float32_singly_and_in_a_batch(network, tmp_path, error):
    job, path = job_of(network), tmp_path / 'net.pte'
    images = sample_batch(job.preprocessing)
    executorch.write_int8(job, path, [images])
    plan = plan_of(path)
    assert [delegate.id for delegate in plan.delegates] == ['XnnpackBackend']
    assert plan.operators == []
    run = executorch.reader(path)
    singles = np.concatenate([run(image[None]) for image in images])
    assert 1e-4 < error(singles, expected_of(job, images)) < 0.1
    assert error(run(images), singles) < 0.03  # a value may round to the next step
    assert error(run(images[:3]), singles[:3]) < 0.03


def test_int8_weights_have_one_byte(tmp_path):
    model = get_model('convmixer-128-4_cifar10')
    job, path = job_of(model, dynamic_batch=False), tmp_path / 'net.pte'
    executorch.write_int8(job, path, [sample_batch(job.preprocessing, 2)])
    weights = sum(each.weight.numel() for each in model.modules()
                  if isinstance(each, nn.Conv2d | nn.Linear))
    assert weights < path.stat().st_size < 2 * weights


def test_the_export_checks_three_batch_sizes_and_records_the_largest(convmixer, tmp_path):
    out = tmp_path / 'net.pte'
    record = export(convmixer(), 'executorch', out, dynamic_batch=True)
    assert record['check']['batch_sizes'] == [1, 3, 8, executorch.LARGEST_BATCH]
    assert record['check']['max_difference'] < 1e-5 * record['check']['largest']
    assert record['largest_batch'] == executorch.LARGEST_BATCH
    assert record['inputs'] == dict(images=dict(shape=['batch', 3, 32, 32], dtype='float32'))
    assert list(record['outputs']) == ['logits']
    assert set(record['packages']) == {'torch', 'executorch', 'torchao'}
    assert json.loads((tmp_path / 'net.pte.json').read_text())['files'] == record['files']


def test_int8_is_calibrated_on_a_folder_of_images(convmixer, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for number, image in enumerate(sample_images(4)):
        Image.fromarray(image).save(folder / f'{number}.png')
    record = export(convmixer(), 'executorch', tmp_path / 'net.pte', dtype='int8', calib=folder)
    assert 1e-4 < record['check']['max_difference'] / record['check']['largest'] < 0.2
    assert record['largest_batch'] == 1
    with pytest.raises(UnknownOption, match='in int8 needs calib, a folder'):
        export(convmixer(), 'executorch', tmp_path / 'net.pte', dtype='int8')


def test_an_operator_that_xnnpack_lacks_is_named(convmixer, tmp_path):
    job = job_of(convmixer(act='ELU'), dynamic_batch=False)
    with pytest.raises(BadConfig, match='XNNPACK cannot compute this network whole: aten_'):
        executorch.write(job, tmp_path / 'net.pte')
    assert not list(tmp_path.iterdir())


def test_the_error_for_int8_without_images_says_what_to_call(convmixer, tmp_path):
    with pytest.raises(BadConfig, match='write_int8'):
        executorch.write(job_of(convmixer(), dtype='int8'), tmp_path / 'net.pte')


@pytest.mark.slow
def test_cifar_10_in_int8_loses_at_most_half_a_point(unpacked, tmp_path):
    """On every fifth test image: `pytest -m slow tests/deploy/formats/test_executorch.py`."""
    train, test = unpacked('cifar10', 'train'), unpacked('cifar10', 'test')
    model = get_model(load_config('convmixer-128-4_cifar10'), pretrained=True)
    job, runs = job_of(model), {}
    for dtype in ('float32', 'int8'):
        path = tmp_path / f'{dtype}.pte'
        if dtype == 'int8':
            executorch.write_int8(job, path, calibration_batches(model, train / 'train'))
        else:
            executorch.write(job, path)
        runs[dtype] = executorch.reader(path)
    every_fifth = ((images[::5], labels[::5]) for images, labels in TestSet(
        model, str(test), batch_size=5 * executorch.LARGEST_BATCH))
    accuracy = top1(runs, every_fifth)
    print(accuracy)
    assert accuracy['float32'] == pytest.approx(85.00, abs=0.01)
    assert accuracy['float32'] - accuracy['int8'] <= 0.5

"""`.mnn` files, run by MNN's own runtime."""
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mmconvmixer import get_model
from mmconvmixer.deploy import export
from mmconvmixer.deploy.formats import mnn as format
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization.accuracy import TestSet, top1
from mmconvmixer.deploy.quantization.calibration import calibration_batches
from mmconvmixer.deploy.sample_images import sample_batch, sample_images
from mmconvmixer.errors import BadConfig, ExportMismatch

pytest.importorskip('MNN', reason='MNN is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3, 32, 32)).astype(np.float32)


def test_any_number_of_images_is_computed(convmixer, tmp_path, error):
    job, path = Job(convmixer(depth=1), preprocessing_of(convmixer())), tmp_path / 'net.mnn'
    format.write(job, path)
    run = format.reader(path)
    for count in (3, 1, 5):
        x = images(count)
        with torch.no_grad():
            assert error(run(x), job.network(torch.from_numpy(x)).numpy()) < 1e-5


def test_a_gelu_by_tanh_stays_one(mixer, tmp_path):
    """flax's MLP-Mixers have it; the difference to the exact one would show."""
    model = mixer()
    for module in model.modules():
        if isinstance(module, torch.nn.GELU):
            module.approximate = 'tanh'
    for block in model.backbone.layers:
        block.channel_mix.layers[0][0].weight.data.mul_(50)
    check = export(model, 'mnn', tmp_path / 'net.mnn')['check']
    assert check['max_difference'] < 1e-5 * check['largest']


def test_onnx_gelu_is_approximated_if_it_is_not_written_out(tmp_path, monkeypatch):
    """Why its formula is written out: the digits model differs by a percent otherwise."""
    model = get_model('convmixer-64-4_digits', True)
    check = export(model, 'mnn', tmp_path / 'net.mnn')['check']
    assert check['max_difference'] < 2e-5 * check['largest']
    monkeypatch.setattr(format, '_write_out_gelu', lambda graph: None)
    with pytest.raises(ExportMismatch):
        export(model, 'mnn', tmp_path / 'net.mnn')


def test_the_record_names_the_file_and_its_interface(convmixer, tmp_path):
    record = export(convmixer(depth=1), 'mnn', tmp_path / 'net.mnn')
    assert list(record['files']) == ['net.mnn']
    assert record['inputs'] == {'images': dict(shape=['batch', 3, 32, 32], dtype='float32')}
    assert record['outputs'] == {'logits': dict(shape=['batch', 10], dtype='float32')}
    assert 'MNN' in record['packages']
    assert {path.name for path in tmp_path.iterdir()} == {'net.mnn', 'net.mnn.json'}


def test_float16_weights_make_a_smaller_file(convmixer, tmp_path):
    model, sizes = convmixer(depth=1), {}
    for dtype in ('float32', 'float16'):
        check = export(model, 'mnn', tmp_path / 'net.mnn', dtype=dtype)['check']
        sizes[dtype] = (tmp_path / 'net.mnn').stat().st_size
    assert 1e-5 < check['max_difference'] / check['largest'] < 2e-2
    weights = sum(each.numel() for each in model.parameters() if each.dim() > 1)
    assert sizes['float32'] - sizes['float16'] > 1.8 * weights


def test_no_pip_is_run(convmixer, tmp_path, monkeypatch):
    """`import MNN.tools` runs pip to install what it reports to a server with."""
    called = tmp_path / 'called'
    pip = tmp_path / 'bin/pip'
    pip.parent.mkdir()
    pip.write_text(f'#!/bin/sh\necho "$@" >> {called}\n')
    pip.chmod(0o755)
    monkeypatch.setenv('PATH', f'{pip.parent}{os.pathsep}{os.environ["PATH"]}')
    export(convmixer(depth=1), 'mnn', tmp_path / 'net.mnn')
    assert not called.exists() and 'MNN.tools' not in sys.modules
    os.system('pip list')
    assert called.read_text() == 'list\n'  # the stand-in would have noticed


@pytest.mark.parametrize(('network', 'largest'), [('GELU', 0.5), ('ReLU', 0.5), ('mixer', 0.15)])
def test_int8_is_close_to_float32(convmixer, mixer, tmp_path, network, largest, error):
    """MNN's ranges are narrow, so that outputs become smaller; their order stays."""
    model = mixer() if network == 'mixer' else convmixer(network)
    job, path = Job(model, preprocessing_of(model)), tmp_path / 'net.mnn'
    x = sample_batch(job.preprocessing, 40)
    format.write_int8(job, path, [x[:16], x[16:32]])
    with torch.no_grad():
        expected = job.network(torch.from_numpy(x[32:])).numpy()
    actual = format.reader(path)(x[32:])
    assert 1e-4 < error(actual, expected) < largest
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize('channels', ['RGB', 'BGR', 'GRAY'])
def test_calibration_images_are_the_pixels_they_were(convmixer, tmp_path, channels):
    count = 1 if channels == 'GRAY' else 3
    preprocessing = replace(preprocessing_of(convmixer()), channels=channels,
                            mean=(125.3, 122.9, 113.8)[:count], std=(63., 62.1, 66.7)[:count])
    pixels = np.random.default_rng(0).integers(0, 256, (4, count, 5, 7)).astype(np.float32)
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (
        preprocessing.mean, preprocessing.std))
    assert format._save_images(tmp_path, preprocessing, [(pixels - mean) / std]) == 4
    for number, expected in enumerate(pixels, 1):
        image = np.asarray(Image.open(tmp_path / f'{number}.png'))
        if channels == 'BGR':
            expected = expected[::-1]
        np.testing.assert_array_equal(image.reshape(5, 7, count), expected.transpose(1, 2, 0))


def test_the_exporter_calibrates_on_a_folder(convmixer, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for number, image in enumerate(sample_images(8)):
        Image.fromarray(image).save(folder / f'{number}.png')
    check = export(convmixer(depth=1), 'mnn', tmp_path / 'net.mnn', dtype='int8',
                   calib=folder)['check']
    assert 1e-4 < check['max_difference'] / check['largest'] < 0.5


def test_a_failure_of_the_tools_is_an_error(convmixer, tmp_path):
    with pytest.raises(BadConfig, match="MNN's mnnconvert fails on this network"):
        format._tool(tmp_path, 'mnnconvert', '--help', makes='net.mnn')
    model = convmixer()
    with pytest.raises(BadConfig, match='call write_int8 with images'):
        format.write(Job(model, preprocessing_of(model), dtype='int8'), tmp_path / 'net.mnn')


@pytest.mark.slow
def test_int8_loses_at_most_half_a_point_on_cifar_10(unpacked, tmp_path):
    """2,000 test images, every fifth."""
    model = get_model('convmixer-128-4_cifar10', pretrained=True)
    job, path = Job(model, preprocessing_of(model)), tmp_path / 'net.mnn'
    format.write(job, path)
    runs = dict(before=format.reader(path))
    format.write_int8(job, path, calibration_batches(
        model, unpacked('cifar10', 'train') / 'train'))
    runs['after'] = format.reader(path)
    accuracy = top1(runs, [(x[::5], labels[::5]) for x, labels in TestSet(
        model, str(unpacked('cifar10', 'test')))])
    print(accuracy)
    assert accuracy['before'] == pytest.approx(85.00, abs=0.05)
    assert accuracy['before'] - accuracy['after'] <= 0.5

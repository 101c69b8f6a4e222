"""Quantization to an int8 file with a measured accuracy."""
import json
import subprocess

import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.deploy.formats import load_format
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization import INT8_FORMATS, quantize
from mmconvmixer.deploy.quantization import int8_file as module
from mmconvmixer.deploy.quantization.accuracy import TestSet, top1
from mmconvmixer.errors import (
    AccuracyDrop,
    BadImage,
    DatasetNotFound,
    MissingPackage,
    OutputNotWritable,
    UnknownOption,
)
from mmconvmixer.zoo.config import load_config

SUFFIXES = dict(openvino='.xml', onnx='.onnx')


@pytest.fixture(params=SUFFIXES)
def format(request):
    for package in INT8_FORMATS[request.param].PACKAGES:
        pytest.importorskip(package)
    return request.param


def one_at_a_time(run):
    return lambda images: np.concatenate([run(images[number:number + 1])
                                          for number in range(len(images))])


def test_the_file_has_the_accuracy_in_the_record(digits, digit_images, tmp_path, format):
    out = tmp_path / 'made' / f'net{SUFFIXES[format]}'
    record = quantize(digits, format, out, digit_images, count=40)
    before, after = record['top1']['before'], record['top1']['after']
    assert before == pytest.approx(99, abs=0.01) and before - after <= 0.5
    run = one_at_a_time(load_format(format).reader(out))
    assert top1(dict(it=run), TestSet(digits))['it'] == pytest.approx(after, abs=0.2)


def test_the_record_is_written_beside_the_file(digits, digit_images, tmp_path, format):
    out = tmp_path / f'net{SUFFIXES[format]}'
    record = quantize(digits, format, out, digit_images, count=20, evaluate=False)
    assert json.loads((tmp_path / f'{out.name}.json').read_text()) == json.loads(
        json.dumps(record))
    assert record['model'] == 'configs/convmixer/convmixer-64-4_digits.py'
    assert record['format'] == format and record['precision'] == 'int8'
    assert record['calibration'] == dict(folder=digit_images.name, images=20)
    assert record['outputs']['logits']['shape'][1:] == [10]
    assert record['top1'] is None and record['kept_in_float'] == []
    assert str(tmp_path) not in json.dumps(record)
    assert set(record['files']) == {'net.xml', 'net.bin'} if format == 'openvino' else {'net.onnx'}
    assert {path.name for path in tmp_path.iterdir()} == {*record['files'], f'{out.name}.json'}
    for name, sha256 in record['files'].items():
        assert sha256_of(tmp_path / name) == sha256


def test_layers_stay_in_float_until_the_drop_is_small_enough(
        lopsided, digit_images, tmp_path, format):
    out = tmp_path / f'net{SUFFIXES[format]}'
    spoilt = quantize(lopsided, format, out, digit_images, count=40)['top1']
    assert spoilt['before'] == pytest.approx(99, abs=0.2)
    assert spoilt['before'] - spoilt['after'] > 2
    mended = quantize(lopsided, format, out, digit_images, count=40, max_drop=0.5)
    assert mended['top1']['before'] - mended['top1']['after'] <= 0.5
    kept = set(mended['kept_in_float'])
    assert 'backbone.stages.0.mix_space' in kept or 'backbone.stem.patches' in kept
    assert len(kept) < 10


def test_nothing_is_kept_in_float_where_int8_is_good_enough(
        digits, digit_images, tmp_path, format):
    record = quantize(digits, format, tmp_path / f'net{SUFFIXES[format]}', digit_images,
                      count=40, max_drop=0.5)
    assert record['kept_in_float'] == []


def test_nothing_is_written_where_even_float_is_not_good_enough(
        digits, digit_images, tmp_path, format, monkeypatch):
    monkeypatch.setattr(module, 'top1', lambda runs, test_set: {
        name: 90. if name == 'before' else 80. for name in runs})
    monkeypatch.setattr(module, 'keep_worst', lambda names, quantize, *rest: (
        quantize(rest[2], list(names)), list(names)))
    with pytest.raises(AccuracyDrop, match='from 90.00 to 80.00, by more than 1'):
        quantize(digits, format, tmp_path / f'net{SUFFIXES[format]}', digit_images, count=4,
                 max_drop=1)
    assert list(tmp_path.iterdir()) == []


def test_the_record_says_what_the_runtime_computes_in_each_precision_here(
        digits, digit_images, tmp_path, format):
    out = tmp_path / f'net{SUFFIXES[format]}'
    assert quantize(digits, format, out, digit_images, count=2,
                    evaluate=False)['computed_here'] == dict(int8=10)


def test_layers_that_stay_in_float_are_counted_as_float(
        digits, digit_images, tmp_path, format, monkeypatch):
    monkeypatch.setattr(module, 'keep_worst', lambda names, quantize, *rest: (
        quantize(rest[2], list(names)[:1]), list(names)[:1]))
    monkeypatch.setattr(module, 'top1', lambda runs, test_set: dict.fromkeys(runs, 90.) | (
        dict(after=89.) if 'before' in runs else {}))
    record = quantize(digits, format, tmp_path / f'net{SUFFIXES[format]}', digit_images, count=2,
                      max_drop=0.5)
    computed = record['computed_here']
    assert computed.pop('int8') == 9
    assert list(computed.values()) == [1]  # in bfloat16 or float32, as the processor has it


@pytest.mark.parametrize('changes, error, said', [
    (dict(format='litert'), UnknownOption, "'litert' has no int8; these have: openvino, onnx"),
    (dict(out='net.pb'), OutputNotWritable, 'does not end in .onnx'),
    (dict(calib='nowhere'), DatasetNotFound, 'nowhere is not there'),
    (dict(calib='.'), BadImage, 'has no image'),
    (dict(count=0), UnknownOption, 'count is 0'),
    (dict(max_drop=-1.), UnknownOption, 'max_drop is -1'),
    (dict(max_drop=1., evaluate=False), UnknownOption, 'a test set to measure'),
])
def test_wrong_options_are_errors_that_name_them(
        digits, digit_images, tmp_path, monkeypatch, changes, error, said):
    pytest.importorskip('onnxscript')
    monkeypatch.chdir(tmp_path)
    options = dict(format='onnx', out='net.onnx', calib=digit_images, count=2) | changes
    with pytest.raises(error) as caught:
        quantize(digits, **options)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_command_that_installs_it(
        digits, digit_images, tmp_path, monkeypatch):
    from mmconvmixer.deploy import packages
    monkeypatch.setattr(packages, 'find_spec', lambda name: None if name == 'nncf' else name)
    with pytest.raises(MissingPackage) as caught:
        quantize(digits, 'openvino', tmp_path / 'net.xml', digit_images)
    assert "nncf: pip install 'mmconvmixer[deploy]'" in str(caught.value)


def test_importing_it_loads_no_heavy_library(torch_python):
    heavy = ('nncf', 'onnx', 'onnxruntime', 'openvino')
    code = (f'import sys, mmconvmixer.deploy.quantization; '
            f'print([each for each in {heavy} if each in sys.modules])')
    done = subprocess.run([torch_python, '-W', 'ignore', '-c', code], capture_output=True,
                          text=True, check=True)
    assert done.stdout.strip() == '[]'


@pytest.mark.slow
def test_cifar_10_loses_at_most_half_a_point(unpacked, tmp_path, format):
    train, test = unpacked('cifar10', 'train'), unpacked('cifar10', 'test')
    model = get_model(load_config('convmixer-128-4_cifar10'), pretrained=True)
    record = quantize(model, format, tmp_path / f'net{SUFFIXES[format]}', train / 'train',
                      data=str(test))
    assert record['calibration']['images'] == 300
    assert record['top1']['before'] == pytest.approx(84.96, abs=0.02)
    assert record['top1']['before'] - record['top1']['after'] <= 0.5
    job = Job(model, preprocessing_of(model))
    with torch.no_grad():
        assert job.network(torch.zeros(1, *job.input_shape)).shape == (1, 10)

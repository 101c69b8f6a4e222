import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits


@pytest.fixture
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    for number, image in enumerate(load_digits().images[:30]):
        Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8)).save(
            folder / f'{number:02d}.png')
    return folder


def test_its_options_are_these(tools, options_of):
    assert options_of(tools('quantize')) == {
        'model', '-h', '--help', '--format', '--out', '--calib', '--count', '--checkpoint',
        '--max-drop', '--no-evaluate', '--cfg-options'}


@pytest.mark.parametrize('kind', ['with AVX2 alone', 'with VNNI and bfloat16'])
@pytest.mark.parametrize('format, name', [('openvino', 'net.xml'), ('onnx', 'net.onnx')])
def test_it_prints_top_1_before_and_after_and_writes_the_file(
        tool, images, processor, tmp_path, format, name, kind):
    processor(kind)
    for package in ('openvino', 'nncf', 'onnxruntime', 'onnxscript'):
        pytest.importorskip(package)
    done = tool('quantize', 'convmixer-64-4_digits', '--format', format, '--out', tmp_path / name,
                '--calib', images, '--count', 30, '--max-drop', 0.5, experiment=False)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / f'{name}.json').read_text())
    after = record['top1']['after']
    accuracy, wrote = done.out.splitlines()
    assert [accuracy, wrote] == [
        f'top-1 before 99.00  after {after:.2f}  drop {record["top1"]["before"] - after:.2f}',
        f'wrote {tmp_path / name}, calibrated on 30 images']
    assert (tmp_path / name).is_file()


def test_it_works_without_a_test_set(tool, toy_config, trained, images, tmp_path):
    pytest.importorskip('onnxscript')
    done = tool('quantize', toy_config, '--checkpoint', trained, '--format', 'onnx', '--out',
                tmp_path / 'net.onnx', '--calib', images, '--count', 4, '--no-evaluate',
                experiment=False)
    assert done.code == 0, done.err
    assert 'top-1' not in done.out
    assert done.out.splitlines()[-1] == f'wrote {tmp_path / "net.onnx"}, calibrated on 4 images'


@pytest.mark.parametrize('options, said', [
    (('--format', 'pickle'), "format 'pickle' has no int8; these have: openvino, onnx"),
    (('--calib', 'missing'), 'missing is not there'),
    (('--calib', 'empty'), 'empty has no image in it'),
    (('--out', 'net.txt'), 'does not end in .onnx'),
    (('--checkpoint', 'missing.pth'), 'missing.pth'),
    (('--max-drop', '0.5', '--no-evaluate'), 'a test set'),
])
def test_wrong_options_are_one_line(bad_input, images, tmp_path, options, said):
    pytest.importorskip('onnxscript')
    (tmp_path / 'empty').mkdir()
    assert said in bad_input('quantize', 'convmixer-64-4_digits', '--format', 'onnx', '--out',
                             'net.onnx', '--calib', images, *options, experiment=False)


def test_a_missing_test_folder_is_one_line(bad_input, folder_config, trained, images, tmp_path):
    pytest.importorskip('onnxscript')
    config = folder_config(tmp_path / 'nowhere')
    said = bad_input('quantize', config, '--checkpoint', trained, '--format', 'onnx', '--out',
                     'net.onnx', '--calib', images, experiment=False)
    assert f'{tmp_path}/nowhere' in said


def test_a_test_set_of_other_classes_is_refused(
        bad_input, folder_config, image_folder, trained, images, tmp_path):
    for package in ('onnxruntime', 'onnxscript'):
        pytest.importorskip(package)
    image_folder(tmp_path / 'data', 20)
    said = bad_input('quantize', folder_config(tmp_path / 'data'), '--checkpoint', trained,
                     '--format', 'onnx', '--out', 'net.onnx', '--calib', images, experiment=False)
    assert 'label 0 is 0 in the checkpoint and class0 in the test set' in said
    assert f'{trained.parent}/toy.py' in said and '--no-evaluate' in said


def test_a_mismatch_names_no_option_that_the_tool_lacks(bad_input, bad_checkpoints, images,
                                                        toy_config):
    for package in ('onnxruntime', 'onnxscript'):
        pytest.importorskip(package)
    path, said = bad_checkpoints['three blocks']
    error = bad_input('quantize', toy_config, '--checkpoint', path, '--format', 'onnx', '--out',
                      'net.onnx', '--calib', images, experiment=False)
    assert said in error and 'strict' not in error

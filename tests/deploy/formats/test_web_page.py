"""The folder of a page: what is in it, what is replaced, and what is refused."""
import json
import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from mmconvmixer import get_model
from mmconvmixer.deploy import export
from mmconvmixer.deploy.formats import web_page
from mmconvmixer.deploy.sample_images import sample_images
from mmconvmixer.deploy.web import runtime
from mmconvmixer.errors import OutputNotWritable, UnknownOption

pytest.importorskip('onnxscript', reason='onnxscript is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
DIGITS = 'convmixer-64-4_digits'


def test_the_folder_holds_all_that_the_page_needs(package, tmp_path):
    record = export(DIGITS, 'web', tmp_path / 'page', runtime=package)
    page = tmp_path / 'page'
    assert sorted(path.name for path in page.iterdir()) == sorted(web_page.CONTENTS)
    assert json.loads((page / 'classifier.json').read_text()) == dict(
        name=DIGITS, dtype='float32', classes=10, grid=[8, 8], image_size=[8, 8], resize='exact',
        resize_to=[8, 8], runtime=f'onnxruntime-web {runtime.VERSION}')
    assert record['check']['top1_agreement'] == 1
    assert record['check']['computed_by'] == 'onnxruntime'
    assert record['outputs']['maps'] == dict(shape=[5, 8, 8], dtype='float32')
    assert record['runtime']['integrity'].startswith('sha512-')
    assert set(record['files']) == {f'page/{path.relative_to(page).as_posix()}'
                                    for path in page.rglob('*') if path.is_file()}


def test_the_page_names_its_files_and_no_other_host():
    page = files('mmconvmixer.deploy.web').joinpath('page')
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.joinpath('index.html').read_text())
    assert set(linked) == {'data:,', 'style.css', 'map.js', 'page.js',
                           'runtime/LICENSE', 'runtime/ThirdPartyNotices.txt'}
    for name in web_page.PAGE:
        addresses = re.findall(r'\bhttps?://[^\s\'"]+', page.joinpath(name).read_text())
        assert set(addresses) <= {'http://localhost:8000.'}, name


def test_a_network_without_maps_has_a_page_too(package, tmp_path):
    model = get_model(DIGITS, head=dict(
        type='StackedLinearClsHead', num_classes=10, in_channels=64, mid_channels=[16],
        _delete_=True))
    record = export(model, 'web', tmp_path / 'page', runtime=package)
    assert set(record['outputs']) == {'classes', 'scores', 'labels'}
    assert json.loads((tmp_path / 'page/classifier.json').read_text())['grid'] is None


def test_float16_is_half_as_large(package, tmp_path):
    model = get_model('convmixer-128-4_cifar10', True)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    record = export(model, 'web', tmp_path / 'page', runtime=package, dtype='float16')
    assert (tmp_path / 'page/model.onnx').stat().st_size < 3 * parameters  # of two bytes each
    assert record['check']['top1_agreement'] == 1


def test_int8_is_calibrated_on_images_and_keeps_the_maps(package, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for number, image in enumerate(sample_images(8)):
        Image.fromarray(image).save(folder / f'{number}.png')
    record = export('convmixer-128-4_cifar10', 'web', tmp_path / 'page', runtime=package,
                    dtype='int8', calib=folder)
    assert 1e-3 < record['check']['mean_log_score_difference'] < record['check']['tolerance']
    assert record['outputs']['maps']['shape'] == [5, 8, 8]
    names, scores = web_page.reader(tmp_path / 'page')(sample_images(1)[0])
    assert len(names) == 5
    assert np.all(np.diff(scores) <= 0)


def test_a_page_is_replaced_by_the_next_export(package, tmp_path):
    for name, classes in ((DIGITS, 10), ('convmixer-128-4_cifar100', 100)):
        export(name, 'web', tmp_path / 'page', runtime=package)
        settings = json.loads((tmp_path / 'page/classifier.json').read_text())
        assert settings['classes'] == classes


def test_a_folder_with_other_files_is_kept(package, tmp_path):
    site = tmp_path / 'site'
    site.mkdir()
    (site / 'index.html').write_text('my site')
    with pytest.raises(OutputNotWritable, match='is not an exported web page'):
        export(DIGITS, 'web', site, runtime=package)
    page = tmp_path / 'page'
    export(DIGITS, 'web', page, runtime=package)
    (page / 'CNAME').write_text('example.org')
    with pytest.raises(OutputNotWritable, match='holds CNAME, too, which would be lost'):
        export(DIGITS, 'web', page, runtime=package)
    assert (page / 'CNAME').read_text() == 'example.org'
    assert (site / 'index.html').read_text() == 'my site'


@pytest.mark.parametrize(('options', 'said'), [
    (dict(features=True), 'names classes'), (dict(topk=0), 'names classes'),
    (dict(format='torch', runtime='package'), "runtime is for the format 'web'"),
    (dict(dtype='bfloat16'), "format web has no dtype 'bfloat16'")])
def test_options_that_do_not_fit_are_errors(tmp_path, options, said):
    with pytest.raises(UnknownOption, match=said):
        export(DIGITS, **dict(dict(format='web', out=tmp_path / 'page'), **options))
    assert not list(tmp_path.iterdir())


def test_the_command_prints_what_was_compared(package, tmp_path, tool):
    done = tool('export', DIGITS, '--format', 'web', '--out', tmp_path / 'page', '--runtime',
                package, '--topk', 3, experiment=False)
    assert done.code == 0
    assert 'logarithms of scores differ from PyTorch' in done.out
    assert 'top-1 agreement 100% (computed by onnxruntime)' in done.out


def test_a_wrong_runtime_is_one_line(bad_input, tmp_path):
    said = bad_input('export', DIGITS, '--format', 'web', '--out', tmp_path / 'page', '--runtime',
                     tmp_path, experiment=False)
    assert 'expected the unpacked package onnxruntime-web' in said

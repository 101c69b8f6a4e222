"""Hosts: what a page needs of them, and what it says where that is missing."""
import json
import shutil

import pytest

from mmconvmixer.deploy.sample_images import sample_images

ISOLATED = {'Cross-Origin-Opener-Policy': 'same-origin',
            'Cross-Origin-Embedder-Policy': 'require-corp'}


def test_it_needs_no_network_once_it_is_loaded(visit, file_of, choose):
    page = visit()
    page.stop()
    names, _ = choose(page, file_of(sample_images(1)[0]))
    assert len(names) == 5


def test_it_has_threads_where_the_host_isolates_pages(visit, file_of, choose):
    page = visit(headers=ISOLATED)
    cores = page.evaluate('navigator.hardwareConcurrency')
    names, _ = choose(page, file_of(sample_images(1)[0]))
    assert f'WASM with {min(cores, 8)} thread' in page.inner_text('#time')


def test_float16_is_not_offered_to_a_webgpu_without_it(visit, webgpu_of, folder, tmp_path):
    part = tmp_path / 'part'
    shutil.copytree(folder, part)
    settings = json.loads((part / 'classifier.json').read_text())
    (part / 'classifier.json').write_text(json.dumps({**settings, 'dtype': 'float16'}))
    page = visit(part)
    features = webgpu_of(page)
    if features is None or 'shader-f16' in features:
        pytest.skip('this Chromium has no WebGPU without float16')
    assert page.is_disabled('[value=webgpu]')
    assert page.inner_text('#webgpu') == 'WebGPU (without float16 here)'


def test_a_host_may_decompress_the_programs_by_itself(
        visit, folder, tmp_path, file_of, unzipped, choose):
    part = tmp_path / 'part'
    shutil.copytree(folder, part)
    for program in (part / 'runtime').glob('*.wasm.gz'):
        program.write_bytes(unzipped(program))
    names, _ = choose(visit(part), file_of(sample_images(1)[0]))
    assert len(names) == 5


def test_a_page_that_was_opened_as_a_file_says_what_is_missing(browser, folder):
    page = browser.new_page()
    page.goto(f'file://{folder}/index.html')
    page.wait_for_selector('#problem:not([hidden])')
    assert 'Run "python -m http.server" in the folder' in page.inner_text('#problem')
    assert page.is_hidden('#inputs')
    page.close()


@pytest.mark.parametrize('name', ['classifier.json', 'model.onnx',
                                  'runtime/ort-wasm-simd-threaded.wasm.gz'])
def test_a_file_that_was_not_uploaded_is_named(visit, folder, tmp_path, name):
    part = tmp_path / 'part'
    shutil.copytree(folder, part)
    (part / name).unlink()
    said = visit(part).inner_text('#problem')
    assert f'{name} could not be loaded' in said
    assert 'the host needs the whole folder' in said


def test_all_but_the_weights_is_under_15_megabytes(folder):
    sizes = {path: path.stat().st_size for path in folder.rglob('*') if path.is_file()}
    assert sum(sizes.values()) - sizes[folder / 'model.onnx'] < 15e6

"""`tools/benchmark.py`: rows are compared before they are timed."""
import importlib.util
import json
import multiprocessing
import shutil
from functools import partial

import pytest
import torch

from benchmarks import plans, runtimes
from benchmarks.in_turn import Measured, measure, table
from benchmarks.rows import Plan
from benchmarks.worker import Worker

NAME = 'convmixer-64-4_digits'


@pytest.fixture
def forked(monkeypatch):
    """Fork the rows' processes: they then start without importing torch and mmpretrain again."""
    monkeypatch.setattr('benchmarks.worker.get_context',
                        lambda method: multiprocessing.get_context('fork'))


@pytest.fixture
def small_products(monkeypatch):
    """Measure the processor's peak with matrices of 64 x 64."""
    monkeypatch.setattr(runtimes, 'matrix_peak', partial(plans.matrix_peak, size=64))


@pytest.mark.parametrize(('name', 'arguments'), [
    ('benchmark_sam', [NAME]), ('benchmark_training', [NAME]),
    ('benchmark_pipeline', ['.'])])
def test_a_copy_in_an_installed_package_says_that_benchmarks_are_in_the_checkout(
        repo, tmp_path, capsys, name, arguments):
    copy = tmp_path / '.mim/tools' / f'{name}.py'
    copy.parent.mkdir(parents=True)
    shutil.copy(repo / f'tools/{name}.py', copy)
    spec = importlib.util.spec_from_file_location('copied_tool', copy)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.main(arguments) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith(f'error: {name}.py needs the folder benchmarks/, which is part of the '
                           'checkout')


def test_rows_of_one_function_are_timed_in_one_run(
        tool, processor, forked, small_products, tmp_path):
    processor('with VNNI and bfloat16')  # its bfloat16 rows are slow on other processors
    out = tmp_path / 'figures.json'
    done = tool('benchmark', NAME, '--backends', 'torch', '--precisions', 'float32', 'bfloat16',
                '--peers', 'mmpretrain', 'timm', '--batch-size', 2, '--rounds', 2, '--threads', 1,
                '--checkpoint', NAME, '--json', out, experiment=False)
    assert done.code == 0, done.err
    figures = json.loads(out.read_text())
    assert [(row['row'], row['precision']) for row in figures['rows']] == [
        (row, precision) for precision in ('float32', 'bfloat16')
        for row in ('mmpretrain', 'timm', 'torch')]
    for row in figures['rows']:
        assert not row['failure']
        assert len(row['seconds']) == 2
        assert row['images_per_second'] == pytest.approx(2e3 / row['latency_ms'])
        assert row['difference'] < (1e-4 if row['precision'] == 'float32' else 0.25)
    assert figures['rows'][3]['difference'] > 1e-4  # so it computed in bfloat16
    assert 'at most' in done.out
    assert 'threads on cores' in done.out


def test_a_precision_that_the_processor_lacks_has_no_rows_and_that_is_said(
        tool, processor, forked, small_products):
    processor('with AVX2 alone')
    done = tool('benchmark', NAME, '--backends', 'torch', '--precisions', 'float32', 'bfloat16',
                '--peers', '--rounds', 1, '--threads', 1, experiment=False)
    assert done.code == 0, done.err
    assert 'no bfloat16 instructions' in done.out
    assert 'torch float32' in done.out and 'torch bfloat16' not in done.out


def test_a_row_says_if_its_runtime_computes_in_another_precision(
        tool, processor, forked, small_products):
    openvino = pytest.importorskip('openvino')
    processor('with VNNI and bfloat16')
    done = tool('benchmark', NAME, '--backends', 'openvino', '--precisions', 'bfloat16', '--peers',
                '--batch-size', 1, '--rounds', 1, '--threads', 1, experiment=False)
    assert done.code == 0, done.err
    row, = (line for line in done.out.splitlines() if 'openvino bfloat16' in line
            and 'building' not in line and 'ratio' not in line)
    has = 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    assert row.endswith('(computes in float32)') == (not has)


def test_a_training_step(tool, forked, small_products):
    done = tool('benchmark', NAME, '--backends', 'torch', '--precisions', 'float32', '--peers',
                'mmpretrain', '--batch-size', 12, '--rounds', 1, '--threads', 1, '--train',
                experiment=False)
    assert done.code == 0, done.err
    assert 'not timed' not in done.out
    assert 'ms a step' in done.out


def test_a_row_that_computes_another_function_is_not_timed(forked, tmp_path):
    from mmconvmixer import get_model
    torch.manual_seed(0)
    paths = []
    for number in range(2):
        paths.append(str(tmp_path / f'{number}.pth'))
        torch.save(dict(state_dict=get_model(NAME).state_dict()), paths[-1])
    rows = [Plan('torch', 'float32', NAME, path, None) for path in paths]
    images = torch.randn(2, 1, 8, 8).numpy()
    same, other = measure(rows, [images], rounds=1, say=lambda line: None)
    assert same.seconds
    assert not other.seconds
    assert 'another function' in other.failure
    assert 'not timed: another function' in table([same, other])


def test_a_row_that_cannot_be_built_says_why_and_the_rest_goes_on(forked, tmp_path):
    from mmconvmixer import get_model
    path = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=get_model(NAME).state_dict()), path)
    rows = [Plan('torch', 'float32', NAME, path, None),
             Plan('torch', 'float32', NAME, str(tmp_path / 'none.pth'), None)]
    good, bad = measure(rows, [torch.randn(1, 1, 8, 8).numpy()], 1, say=lambda line: None)
    assert good.seconds
    assert 'none.pth' in bad.failure


def test_a_row_whose_process_dies_does_not_stop_the_others(
        forked, tmp_path, monkeypatch):
    from mmconvmixer import get_model
    path = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=get_model(NAME).state_dict()), path)
    seconds = Worker.seconds

    def killed_at_second(worker, images, repeats):
        if worker.plan.row == 'mmpretrain':
            worker._process.kill()
        return seconds(worker, images, repeats)

    monkeypatch.setattr(Worker, 'seconds', killed_at_second)
    rows = [Plan(row, 'float32', NAME, path, None) for row in ('torch', 'mmpretrain')]
    good, dead = measure(rows, [torch.randn(1, 1, 8, 8).numpy()], 2, say=lambda line: None)
    assert len(good.seconds) == 2
    assert 'its process ended with -9' in dead.failure


def test_ratios_compare_each_round_with_the_first_row():
    rows = [Measured('mmpretrain', 'float32', 8, 0., seconds=[1., 2., 4.]),
            Measured('torch', 'float32', 8, 0., seconds=[.5, .5, 2.])]
    _, first, second, _, base = table(rows).splitlines()
    assert base == 'ratio: to mmpretrain float32 in the same run'
    assert ' 4.00 ' in first and ' 1.00 ' in first
    assert ' 16.00 ' in second and ' 2.00 ' in second


@pytest.mark.parametrize(('options', 'said'), [
    (['--peers', 'tensorflow'], 'these are: mmpretrain, timm'),
    (['--precisions', 'int4'], 'these are: float32, bfloat16, int8'),
    (['--backends', 'tensorrt'], 'these are: torch, compile, onnxruntime, openvino'),
    (['--backends', 'onnxruntime', '--precisions', 'bfloat16'], 'none of the precisions bfloat16'),
])
@pytest.mark.parametrize('kind', ['with AVX2 alone', 'with VNNI and bfloat16'])
def test_unknown_rows_are_one_line(bad_input, processor, options, said, kind):
    processor(kind)
    assert said in bad_input('benchmark', NAME, *options, experiment=False)

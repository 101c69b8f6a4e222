import json
import os
import subprocess
import time

import pytest
import torch

from benchmarks.bars import bars
from benchmarks.limits import floor_milliseconds
from benchmarks.page import table
from benchmarks.whole import MAX_AUTOTUNE, network_rows
from mmconvmixer._support.clock import time_in_turn

checks = pytest.importorskip('benchmarks.checks', reason='Triton is not installed')
pytestmark = pytest.mark.triton

TINY = checks.Case('tiny', 4, 1, 2, 3, torch.nn.GELU, 8, 2, 4)


# The processes of the parts are started by sys.executable, too.
START = 'import runpy, sys; _, sys.executable, *sys.argv = sys.argv; ' \
    'runpy.run_path(sys.argv[0], run_name="__main__")'


def test_it_runs_without_openmmlabs_packages_and_writes_page_and_figures(
        repo, tmp_path, torch_python):
    for name in ('mmengine', 'mmcv', 'mmpretrain'):
        tmp_path.joinpath(f'{name}.py').write_text(f'raise ModuleNotFoundError("{name}")')
    done = subprocess.run(
        [torch_python, '-c', START, torch_python, repo / 'tools/gpu_report.py', '--tiny',
         '--rounds', '1', '--out', tmp_path / 'report'], capture_output=True, text=True,
        env=os.environ | {'PYTHONPATH': str(tmp_path)})
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['checks'] and all(row['ok'] for row in report['checks'])
    timed = [row for row in report['networks'] if 'reason' not in row]
    assert {(row['what'], row['variant']) for row in timed} == {
        (what, variant) for what in ('inference', 'training step')
        for variant in ('eager', 'eager, channels-last', 'fused', 'torch.compile', MAX_AUTOTUNE)}
    assert all(row['ms'] > 0 for row in (*report['kernels'], *timed))
    page = (tmp_path / 'report.md').read_text()
    assert done.stdout.strip() == page.strip()
    assert '| depthwise | tiny | 2 x 8 x 4 x 4 |' in page
    assert not (tmp_path / 'report.jsonl').exists()


def test_the_floor_is_that_of_the_page_on_performance():
    """768/32 takes 0.049 ms of products and 0.037 ms of depthwise convolutions per image."""
    assert floor_milliseconds(1024, 768, 32, 7) == pytest.approx(0.049 + 0.037, abs=5e-4)


def test_rows_with_different_keys_make_one_table():
    assert table([dict(a=1, b=(2, 3), times=[7]), dict(a=1234.5, c='x|y\nz')]).splitlines() == [
        '| a | b | c |', '| --- | --- | --- |', '| 1 | 2 x 3 |  |', '| 1,234 |  | x\\|y z |']


def test_a_kernel_that_fails_is_a_failed_check_and_the_others_go_on(monkeypatch):
    def fail(*args):
        raise RuntimeError('no such\ninstruction')
    monkeypatch.setattr(checks.fused, 'depthwise_conv', fail)
    rows = list(checks.check_rows((), tiny=True))
    failed = [row for row in rows if not row['ok']]
    assert {row['reason'] for row in failed} == {'RuntimeError: no such instruction'}
    assert {row['check'] for row in failed} == {
        f'depthwise_conv, 8 x 5 x 6, k{kernel_size}' for kernel_size in (3, 4)}
    assert len(rows) > 10


def test_processes_share_the_checks(monkeypatch):
    monkeypatch.setattr(checks, '_guarded', lambda what, *rest: what)
    everything = list(checks.check_rows((TINY,), tiny=True))
    shares = [list(checks.check_rows((TINY,), True, (number, 3))) for number in range(3)]
    assert sorted(sum(shares, [])) == sorted(everything)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_wrong_kernel_fails_its_check(monkeypatch):
    right = checks.fused.depthwise_conv
    monkeypatch.setattr(checks.fused, 'depthwise_conv', lambda *args: right(*args) * 1.0001)
    assert not all(row['ok'] for row in checks.check_rows((), tiny=True))


def test_every_network_is_compiled_no_matter_how_many_were_before():
    """Dynamo runs the ninth variant of a function uncompiled, and only logs that."""
    compiled = []

    def count(graph, inputs):
        compiled.append(graph)
        return graph
    for number in range(1, 7):
        rows = list(network_rows(TINY, False, 1, time.monotonic() + 600,
                                 lambda network, **_: torch.compile(network, backend=count)))
        assert len(compiled) == 2 * number  # torch.compile and max-autotune
        assert sum('compile' in row['variant'] and row.get('ms', 0) > 0 for row in rows) == 2


def test_variants_without_time_left_are_listed():
    rows = list(network_rows(TINY, True, 1, time.monotonic() - 1))
    assert all(row['reason'] == 'NotReached: no time left' for row in rows)
    assert {'eager', 'fused', 'torch.compile', MAX_AUTOTUNE} <= {row['variant'] for row in rows}


def test_rounds_end_when_the_time_is_over():
    timing = time_in_turn({'sleep': lambda: time.sleep(0.01)}, rounds=100, seconds=0.02)['sleep']
    assert 5 <= len(timing.times) < 10 and timing.median > 10


def test_bars_compare_with_the_fastest_of_the_others():
    def row(variant, ms, **figures):
        return dict(network='768/32', what='training step', variant=variant, ms=ms, **figures)
    report = dict(kernels=[], networks=[
        row('eager', 30., peak_mib=100), row('eager, channels-last', 20., peak_mib=90),
        row('fused', 10., peak_mib=45), row('torch.compile', 11.)])
    found = {each['bar']: (each['got'], each['holds']) for each in bars(report)}
    assert found['768/32, training step: times the best eager'] == (2., False)
    assert found['768/32, training step: times the best torch.compile'] == (1.1, False)
    assert found["768/32, training step: peak memory over eager's"] == (0.5, True)
    assert found['768/32, inference: share of the floor'] == (None, 'not measured')


def test_a_part_that_was_stopped_does_not_prevent_the_report():
    stopped = dict(ok=False, reason='stopped: out of time')
    report = dict(kernels=[dict(kernel='kernels', **stopped)],
                  networks=[dict(network='768/32', **stopped)])
    assert {row['holds'] for row in bars(report)} == {'not measured'}

import json
import subprocess
import sys

import pytest

from mmconvmixer.benchmarks.limits import floor_milliseconds
from mmconvmixer.benchmarks.page import table

checks = pytest.importorskip('mmconvmixer.benchmarks.checks', reason='Triton is not installed')

# Stands for a machine without OpenMMLab's packages.
BARE = '''
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mmengine', 'mmcv', 'mmpretrain'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def test_it_runs_without_openmmlab_s_packages_and_writes_page_and_figures(repo, tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', BARE, repo / 'tools/gpu_report.py', '--tiny', '--rounds', '1',
         '--out', tmp_path / 'report'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['checks'] and all(row['ok'] for row in report['checks'])
    assert {row['variant'] for row in report['networks']} >= {'eager', 'fused'}
    assert {row['what'] for row in report['networks']} == {'inference', 'training step'}
    assert all(row['ms'] > 0 for row in (*report['kernels'], *report['networks']))
    page = (tmp_path / 'report.md').read_text()
    assert done.stdout.strip() == page.strip()
    assert '| depthwise | tiny | 2 x 8 x 4 x 4 |' in page


def test_the_floor_is_the_arithmetic_of_the_page_on_performance():
    """768/32: 0.049 ms of products and 0.037 of taps a picture, traffic hidden behind each."""
    assert floor_milliseconds(1024, 768, 32, 7) == pytest.approx(0.049 + 0.037, abs=5e-4)


def test_rows_with_different_keys_make_one_table():
    assert table([dict(a=1, b=(2, 3)), dict(a=1234.5, c=None)]).splitlines() == [
        '| a | b | c |', '| --- | --- | --- |', '| 1 | 2 x 3 |  |', '| 1,234 |  |  |']


def test_a_kernel_that_fails_is_a_failed_check_and_the_others_go_on(monkeypatch):
    def fail(*args):
        raise RuntimeError('no such instruction')
    monkeypatch.setattr(checks.fused, 'depthwise_conv', fail)
    rows = list(checks.check_rows(tiny=True))
    failed = [row for row in rows if not row['ok']]
    assert {row['reason'] for row in failed} == {'RuntimeError: no such instruction'}
    assert {row['check'] for row in failed} == {'depthwise k3', 'depthwise k4'} and len(rows) > 10

from pathlib import Path

import pytest

from mmconvmixer.zoo.table import model_table

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / 'README.md').is_file(),
                                reason='README.md and docs/ are part of the checkout only')


def test_the_readmes_table_is_the_metafiles():
    assert model_table() in (ROOT / 'README.md').read_text(), (
        'python -m mmconvmixer.zoo.table prints it')


def test_the_sites_table_is_the_metafiles():
    assert f'\n\n{model_table(site=True)}\n\n' in (ROOT / 'docs/model_zoo.md').read_text(), (
        'python -m mmconvmixer.zoo.table --site prints it')

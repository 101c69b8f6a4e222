from pathlib import Path

import pytest

from mmconvmixer.zoo.table import model_table

README = Path(__file__).resolve().parents[1] / 'README.md'


@pytest.mark.skipif(not README.is_file(), reason='README.md stands in the checkout only')
def test_the_readmes_table_is_the_metafiles():
    assert model_table() in README.read_text(), 'python -m mmconvmixer.zoo.table prints it'

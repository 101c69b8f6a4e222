import shutil

import pytest

from mmconvmixer.errors import BadConfig, CheckpointNotFound
from mmconvmixer.visualization.sources import source_of
from mmconvmixer.zoo import find


@pytest.fixture(scope='module')
def run(trained, tmp_path_factory):
    """The work dir of a run of one epoch, moved from where it was."""
    folder = tmp_path_factory.mktemp('moved') / 'run'
    shutil.copytree(trained.parent, folder)
    return folder


def test_a_run_has_its_config_and_its_newest_checkpoint(run):
    assert source_of(str(run)) == (str(run / 'toy.py'), str(run / 'epoch_1.pth'))
    assert source_of(str(run), 'other.pth') == (str(run / 'toy.py'), 'other.pth')


def test_a_checkpoint_in_a_run_has_the_config_beside_it(run):
    assert source_of(str(run / 'epoch_1.pth')) == (str(run / 'toy.py'), str(run / 'epoch_1.pth'))


def test_a_copy_of_published_weights_has_the_models_config(tmp_path):
    copy = tmp_path / 'mine.pth'
    shutil.copy(find('convmixer-64-4_digits').weights, copy)
    assert source_of(str(copy)) == ('convmixer-64-4_digits', str(copy))


def test_names_and_configs_stay_as_they_are():
    assert source_of('convmixer-64-4_digits') == ('convmixer-64-4_digits', None)
    assert source_of('nowhere.py', 'x.pth') == ('nowhere.py', 'x.pth')


def test_a_script_beside_a_file_is_not_taken_for_a_config(run, tmp_path):
    shutil.copy(run / 'epoch_1.pth', tmp_path / 'mine.pth')
    (tmp_path / 'script.py').write_text('raise SystemExit')
    with pytest.raises(BadConfig, match='mine.pth is a checkpoint without the config of its run'):
        source_of(str(tmp_path / 'mine.pth'))
    with pytest.raises(BadConfig, match='is a folder without the config of a run'):
        source_of(str(tmp_path))


def test_a_run_without_a_checkpoint_is_named(run, tmp_path):
    for name in ('toy.py', 'run.json'):
        shutil.copy(run / name, tmp_path)
    with pytest.raises(CheckpointNotFound, match='has no complete checkpoint yet'):
        source_of(str(tmp_path))

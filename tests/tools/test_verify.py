import pytest
import torch

from mmconvmixer import zoo
from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint


@pytest.fixture
def published(trained, tool, tmp_path):
    tool('publish', trained, tmp_path / 'out', 'toy', '--dtype', 'float16', experiment=False)
    path, = (tmp_path / 'out').glob('toy-*.pth')
    return path


def test_a_published_file_reaches_its_figures(published, tool):
    run = tool('verify', published, experiment=False)
    assert run.code == 0, run.err
    assert 'accuracy/per_class/7' in run.out and 'calibration/ece' in run.out
    assert 'test data: the published pictures' in run.out
    assert run.out.splitlines()[-1].startswith('0 of 13 figures differ')


@pytest.mark.parametrize('name', [name for name in zoo.names() if name.endswith('_digits')])
def test_a_model_of_the_zoo_is_verified_by_name(name, tool):
    run = tool('verify', name, experiment=False)
    assert run.code == 0, run.out


def test_a_figure_that_is_not_reached_is_named_and_the_code_is_1(published, tool, tmp_path):
    checkpoint = read_checkpoint(published)
    checkpoint['meta']['published']['metrics']['accuracy/top1'] += 0.02
    write_checkpoint(checkpoint, tmp_path / 'better.pth')
    run = tool('verify', tmp_path / 'better.pth', experiment=False)
    assert run.code == 1
    line, = (line for line in run.out.splitlines() if line.endswith('differs'))
    assert line.startswith('accuracy/top1 ')


def test_other_weights_than_published_are_noticed(published, tool, tmp_path):
    checkpoint = read_checkpoint(published)
    checkpoint['state_dict']['head.fc.bias'][3] += 100
    write_checkpoint(checkpoint, tmp_path / 'changed.pth')
    assert tool('verify', tmp_path / 'changed.pth', experiment=False).code == 1


def test_a_figure_that_the_config_does_not_measure_differs(published, tool, tmp_path):
    checkpoint = read_checkpoint(published)
    checkpoint['meta']['published']['metrics']['accuracy/top9'] = 99.
    write_checkpoint(checkpoint, tmp_path / 'top9.pth')
    run = tool('verify', tmp_path / 'top9.pth', experiment=False)
    assert run.code == 1 and 'nan' in run.out


def test_other_pictures_than_the_published_are_noticed(
        published, tool, tmp_path, picture_folder, folder_config):
    picture_folder(tmp_path / 'other', 20)
    run = tool('verify', published, '--config', folder_config(tmp_path / 'other'),
               '--data', tmp_path / 'other', experiment=False)
    assert run.code == 1
    assert 'NOT the pictures' in run.out


def test_a_training_checkpoint_has_nothing_published(bad_input, trained):
    assert 'tools/publish.py' in bad_input('verify', trained, experiment=False)


def test_the_config_in_a_checkpoint_is_not_run(bad_input, published, tmp_path):
    """A stranger's config could name any function of any module."""
    checkpoint = read_checkpoint(published)
    checkpoint['meta']['published']['config_file'] = 'configs/none_of_ours.py'
    checkpoint['meta']['cfg'] = 'import os; os.abort()'
    path = tmp_path / 'strange.pth'
    torch.save(checkpoint, path)
    assert 'none_of_ours.py, which is not here' in bad_input('verify', path, experiment=False)

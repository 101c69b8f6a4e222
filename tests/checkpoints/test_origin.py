import pytest

from mmconvmixer.checkpoints.origin import origin_of


def checkpoint(**meta):
    return dict(meta=dict(config_file='configs/convmixer/net.py', **meta))


def test_the_config_that_the_run_wrote_beside_the_checkpoint_is_named(tmp_path):
    (tmp_path / 'net.py').write_text('')
    assert origin_of(checkpoint(command='train --data ten'), tmp_path / 'epoch_1.pth') == (
        f'It was trained with {tmp_path}/net.py; use that config')


def test_without_that_file_it_says_where_a_run_on_own_images_wrote_it(tmp_path):
    said = origin_of(checkpoint(command='python train.py net --data ten'), tmp_path / 'moved.pth')
    assert 'into its work dir, as in work_dirs/RUN/net.py' in said


def test_otherwise_the_recorded_config_is_named(tmp_path):
    assert origin_of(checkpoint(), tmp_path / 'moved.pth') == (
        'It was trained with configs/convmixer/net.py')


@pytest.mark.parametrize('content', [
    {}, dict(meta=None), dict(meta={}), dict(meta=dict(config_file=3)),
    dict(meta=dict(config_file='')), dict(meta=dict(config_file='/etc'))])
def test_a_checkpoint_that_names_no_config_says_nothing(content, tmp_path):
    assert origin_of(content, tmp_path / 'x.pth') == ''

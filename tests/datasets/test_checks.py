import pytest

from mmconvmixer.datasets import check_folders
from mmconvmixer.errors import DatasetNotFound


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'data/train').mkdir(parents=True)
    return tmp_path / 'data'


def configs(**keys):
    """Return configs of the same dataset: bare, wrapped, and as one of several."""
    inner = dict(type='CustomDataset', **keys)
    return [inner, dict(type='RepeatDataset', times=2, dataset=inner),
            dict(type='ConcatDataset', datasets=[dict(type='Digits'), inner])]


@pytest.mark.parametrize('wrapping', range(3), ids=['bare', 'wrapped', 'one of two'])
@pytest.mark.parametrize('prefix', [
    'train', '', None, dict(img_path='train'), dict(img_path=''), dict()], ids=str)
def test_existing_folders_pass(root, prefix, wrapping):
    check_folders(configs(data_root=str(root), data_prefix=prefix)[wrapping])


@pytest.mark.parametrize('wrapping', range(3), ids=['bare', 'wrapped', 'one of two'])
@pytest.mark.parametrize('prefix', ['val', dict(img_path='val')], ids=str)
def test_a_missing_part_is_named_with_what_to_do(root, prefix, wrapping):
    with pytest.raises(DatasetNotFound) as caught:
        check_folders(configs(data_root=str(root), data_prefix=prefix)[wrapping])
    message = str(caught.value)
    assert f'CustomDataset expects the folder {root / "val"}' in message
    assert 'data_root' in message and '--cfg-options' in message and '\n' not in message
    assert isinstance(caught.value, FileNotFoundError)


def test_a_missing_root_is_named_rather_than_its_part(tmp_path):
    config = dict(type='CustomDataset', data_root=str(tmp_path / 'no'), data_prefix='train')
    with pytest.raises(DatasetNotFound, match=f'{tmp_path}/no, which does not exist'):
        check_folders(config)


def test_a_file_is_not_a_folder(root):
    (root / 'val').touch()
    with pytest.raises(DatasetNotFound, match='val'):
        check_folders(dict(type='CustomDataset', data_root=str(root), data_prefix='val'))


def test_a_tilde_stands_for_the_home_folder(root, monkeypatch):
    monkeypatch.setenv('HOME', str(root.parent))
    check_folders(dict(type='CustomDataset', data_root='~/data', data_prefix='train'))
    with pytest.raises(DatasetNotFound, match=f'{root}/val'):
        check_folders(dict(type='CustomDataset', data_root='~/data', data_prefix='val'))


@pytest.mark.parametrize('config', [
    dict(type='Digits', split='test'), dict(type='CustomDataset', data_root=''),
    dict(type='CustomDataset', data_root=None),
    dict(type='CustomDataset', data_root='http://127.0.0.1:1/data')], ids=str)
def test_datasets_outside_local_folders_are_not_checked(config):
    check_folders(config)

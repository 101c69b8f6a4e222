import hashlib

import torch

from mmconvmixer.checkpoints import read_checkpoint


def test_a_published_file_is_small_named_by_its_hash_and_loads(trained, tool, tmp_path):
    run = tool('publish', trained, tmp_path, 'toy', experiment=False)
    assert run.code == 0
    path, = tmp_path.glob('toy-*.pth')
    assert str(path) in run.out
    assert path.stem[-8:] == hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    source, published = read_checkpoint(trained), read_checkpoint(path)
    assert published.keys() == {'state_dict', 'meta'}
    assert published['meta']['dataset_meta']['classes'] == tuple('0123456789')
    for key, value in source['state_dict'].items():
        assert torch.equal(published['state_dict'][key], value)
    torch.load(path, weights_only=True)


def test_equal_weights_make_equal_files(trained, tool, tmp_path):
    for folder in ('a', 'b'):
        tool('publish', trained, tmp_path / folder, 'toy', experiment=False)
    assert ([path.name for path in (tmp_path / 'a').iterdir()]
            == [path.name for path in (tmp_path / 'b').iterdir()])


def test_a_missing_checkpoint_is_one_line_and_leaves_nothing(tool, tmp_path):
    run = tool('publish', tmp_path / 'no.pth', tmp_path / 'out', 'toy', experiment=False)
    assert run.code == 2 and run.err.startswith('error:') and run.err.count('\n') == 1
    assert not (tmp_path / 'out').exists()

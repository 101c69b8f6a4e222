import hashlib
import tempfile
from pathlib import Path

import pytest
import torch

from mmconvmixer.checkpoints import read_checkpoint


@pytest.fixture
def publish(trained, tool, toy_config):
    def call(folder, *options):
        return tool('publish', trained, folder, 'toy', '--config', toy_config, *options,
                    experiment=False)
    return call


def test_a_published_file_is_small_named_by_its_hash_and_loads(trained, publish, tmp_path):
    run = publish(tmp_path)
    assert run.code == 0, run.err
    path, = tmp_path.glob('toy-*.pth')
    assert str(path) in run.out
    assert path.stem[-8:] == hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    source, published = read_checkpoint(trained), read_checkpoint(path)
    assert published.keys() == {'state_dict', 'meta'}
    assert published['meta']['dataset_meta']['classes'] == tuple('0123456789')
    for key, value in source['state_dict'].items():
        assert torch.equal(published['state_dict'][key], value)
    torch.load(path, weights_only=True)


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_its_metrics_are_measured_with_the_rounded_weights(
        publish, evaluate, tmp_path, dtype):
    run = publish(tmp_path / 'out', '--dtype', dtype)
    path, = (tmp_path / 'out').glob('toy-*.pth')
    published = read_checkpoint(path)
    weight = published['state_dict']['head.fc.weight']
    assert weight.dtype == getattr(torch, dtype)
    counter = published['state_dict']['backbone.stem.2.num_batches_tracked']
    assert counter.dtype == torch.int64
    said = published['meta']['published']
    assert said['dtype'] == dtype and said['data']['images'] == 599
    assert said['metrics'] == evaluate(path, tmp_path / 'again')
    assert f'accuracy/top1 {said["metrics"]["accuracy/top1"]:.2f}' in run.out


def test_it_records_where_the_weights_come_from(trained, publish, tmp_path):
    publish(tmp_path)
    path, = tmp_path.glob('toy-*.pth')
    source, meta = read_checkpoint(trained)['meta'], read_checkpoint(path)['meta']
    for key in ('seed', 'epoch', 'config_file', 'cfg', 'environment', 'git_revision', 'data'):
        assert meta[key] == source[key]


def test_it_does_not_reveal_folders_of_this_machine(publish, tmp_path):
    publish(tmp_path)
    path, = tmp_path.glob('toy-*.pth')
    text = repr(read_checkpoint(path)['meta'])
    for folder in (Path.cwd(), Path.home(), tmp_path.parent, Path(tempfile.gettempdir())):
        assert str(folder) not in text, folder


def test_equal_weights_make_equal_files(publish, tmp_path):
    for folder in ('a', 'b'):
        publish(tmp_path / folder)
    assert ([path.name for path in (tmp_path / 'a').iterdir()]
            == [path.name for path in (tmp_path / 'b').iterdir()])


def test_a_missing_checkpoint_is_one_line_and_leaves_nothing(bad_input, tmp_path):
    said = bad_input('publish', tmp_path / 'no.pth', tmp_path / 'out', 'toy', experiment=False)
    assert 'no.pth is not there' in said


def test_a_checkpoint_that_names_no_config_asks_for_one(bad_input, tmp_path, weights_of, trained):
    torch.save(dict(state_dict=weights_of(trained)), tmp_path / 'bare.pth')
    said = bad_input('publish', tmp_path / 'bare.pth', tmp_path / 'out', 'toy', experiment=False)
    assert 'names no config' in said and 'give config (--config PATH)' in said


def test_data_for_a_test_set_without_a_folder_is_refused(
        bad_input, trained, toy_config, tmp_path):
    said = bad_input('publish', trained, tmp_path / 'out', 'toy', '--data', tmp_path,
                     '--config', toy_config, experiment=False)
    assert 'Digits' in said and 'leave it out' in said


def test_weights_for_other_classes_than_the_test_set_s_are_not_published(
        bad_input, folder_config, image_folder, trained, tmp_path):
    """Ten classes, and ten others: the figures would mean nothing."""
    image_folder(tmp_path / 'data', 20)
    said = bad_input('publish', trained, 'out', 'toy', '--config',
                     folder_config(tmp_path / 'data'), experiment=False)
    assert f'the classes of the test set are not those of {trained}' in said
    assert 'label 0 is 0 in the checkpoint and class0 in the test set' in said
    assert f'(--config PATH). It was trained with {trained.parent}/toy.py; use that config' in said


def test_weights_with_another_number_of_classes_name_their_run_s_config(
        bad_input, trained, repo):
    said = bad_input('publish', trained, 'out', 'toy', '--config',
                     repo / 'configs/convmixer/convmixer-64-4_digits.py', experiment=False)
    assert f'{trained} does not fit the network' in said
    assert f'It was trained with {trained.parent}/toy.py; use that config' in said
    assert 'no-strict' not in said

import json
import shutil

import pytest

from mmconvmixer._support.git_revision import git_revision
from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint
from mmconvmixer.datasets.fingerprint import fingerprint
from mmconvmixer.zoo.config import load_config

TWO_EPOCHS = {'train_cfg.max_epochs': 2, 'default_hooks.checkpoint.max_keep_ckpts': 2}


def record_of(folder):
    return json.loads((folder / 'run.json').read_text())


@pytest.fixture(scope='module')
def run(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    train(folder, TWO_EPOCHS)
    return folder


def test_the_record_holds_what_is_needed_to_repeat_the_run(run, toy_config):
    record = record_of(run)
    assert record['config_file'] == toy_config.name
    assert record['seed'] == 0 and record['deterministic'] is False
    assert "arch='8/2-p1-k3'" in record['cfg']
    assert record['command'].startswith('python ')
    assert record['environment'].keys() >= {'torch', 'mmengine', 'processor', 'threads'}
    assert record['git_revision'] == git_revision()
    assert record['data']['train']['images'] == 1198
    assert record['data']['val']['images'] == 599
    assert record['seconds'] > 0 and record['peak_host_mib'] > 100


def test_its_history_has_each_epoch_with_rate_loss_time_and_metrics(run):
    first, second = record_of(run)['history']
    assert (first['epoch'], second['epoch']) == (1, 2)
    assert (first['iter'], second['iter']) == (75, 150)
    # The toy's schedule: lr 0.02 times 1 at epoch 1 and 0.5 at epoch 2.
    assert (first['lr'], second['lr']) == pytest.approx((0.02, 0.01))
    for entry in (first, second):
        assert entry['metrics'].keys() == {'accuracy/top1', 'accuracy/top5'}
        assert entry['loss'] > 0 and entry['seconds'] > 0


def test_every_checkpoint_holds_the_origin_too(run):
    record = record_of(run)
    for epoch in (1, 2):
        meta = read_checkpoint(run / f'epoch_{epoch}.pth')['meta']
        for key in ('config_file', 'seed', 'deterministic', 'command', 'environment',
                    'git_revision', 'data'):
            assert meta[key] == record[key]
        assert meta['cfg'] == record['cfg']


def test_resuming_continues_the_history(run, train, tmp_path):
    shutil.copy(run / 'epoch_1.pth', tmp_path)
    shutil.copy(run / 'run.json', tmp_path)  # it already has the second epoch
    train(tmp_path, TWO_EPOCHS, resume=True)
    resumed, whole = record_of(tmp_path), record_of(run)
    assert [entry['epoch'] for entry in resumed['history']] == [1, 2]
    assert resumed['history'][0] == whole['history'][0]
    assert resumed['history'][1]['metrics'] == whole['history'][1]['metrics']
    assert resumed['seconds'] > whole['seconds']


def test_a_new_run_in_an_old_folder_begins_a_new_record(run, train, tmp_path):
    shutil.copy(run / 'run.json', tmp_path)
    train(tmp_path)
    assert [entry['epoch'] for entry in record_of(tmp_path)['history']] == [1]


def test_a_run_by_iterations_has_an_entry_for_each_validation(train, toy_config, tmp_path):
    config = tmp_path / 'by_iteration.py'
    config.write_text(f'''
_base_ = ['{toy_config}']
train_dataloader = dict(sampler=dict(type='InfiniteSampler', _delete_=True))
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=8, val_interval=4)
param_scheduler = dict(_delete_=True, type='ConstantLR', factor=1., by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=4))
''')
    train(tmp_path, config=config)
    history = record_of(tmp_path)['history']
    assert [entry['iter'] for entry in history] == [4, 8]
    assert all('accuracy/top1' in entry['metrics'] for entry in history)


def test_the_fingerprint_in_the_record_is_the_data_sets(run, toy_config):
    from mmengine.registry import DefaultScope

    from mmconvmixer.datasets.build import build_dataset
    cfg = load_config(toy_config)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = build_dataset(cfg.val_dataloader.dataset)
    assert fingerprint(dataset) == record_of(run)['data']['val']


def test_metrics_that_are_not_numbers_do_not_end_a_run(train, toy_config, tmp_path):
    config = tmp_path / 'matrix.py'
    config.write_text(f"_base_ = ['{toy_config}']\n"
                      "val_evaluator = dict(_delete_=True, type='ConfusionMatrix')\n")
    train(tmp_path, config=config)
    entry, = record_of(tmp_path)['history']
    assert len(entry['metrics']['confusion_matrix/result']) == 10


def test_a_dataset_that_cannot_be_fingerprinted_does_not_end_a_run(
        train, tmp_path, monkeypatch):
    from mmconvmixer.engine.hooks import record_hook

    def fail(dataset):
        raise RuntimeError('no idea')
    monkeypatch.setattr(record_hook, 'fingerprint', fail)
    train(tmp_path, validate=False)
    assert record_of(tmp_path)['data']['train'] == dict(images=1198, sha256=None, of=None)


@pytest.fixture
def of_earlier_version(run, tmp_path):
    """The folder of the run after its first epoch, as it was before runs had identifiers."""
    folder = tmp_path / 'earlier'
    folder.mkdir()
    content, record = read_checkpoint(run / 'epoch_1.pth'), record_of(run)
    del content['meta']['run'], content['record'], record['run'], record['starts']
    record['history'] = record['history'][:1]
    write_checkpoint(content, folder / 'epoch_1.pth')
    (folder / 'run.json').write_text(json.dumps(record))
    return folder


def test_a_run_of_an_earlier_version_gets_an_identifier_when_it_is_resumed(
        train, of_earlier_version, run):
    train(of_earlier_version, TWO_EPOCHS, resume=True)
    record = record_of(of_earlier_version)
    assert record['run'] != record_of(run)['run'] and record['run_from'] == 75
    assert [entry['epoch'] for entry in record['history']] == [1, 2]
    assert read_checkpoint(of_earlier_version / 'epoch_2.pth')['meta']['run'] == record['run']
    train(of_earlier_version, {**TWO_EPOCHS, 'train_cfg.max_epochs': 3}, resume=True)
    again = record_of(of_earlier_version)
    assert (again['run'], again['run_from']) == (record['run'], 75)
    assert [start['iter'] for start in again['starts']] == [75, 150]


def test_it_keeps_the_identifier_if_it_is_stopped_before_it_saves(
        train, of_earlier_version, run, monkeypatch):
    def stop(*_, **options):
        raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr('mmconvmixer.engine.runner.Runner.save_checkpoint', stop)
        train(of_earlier_version, TWO_EPOCHS, resume=True)
    first = record_of(of_earlier_version)['run']
    shutil.copy(run / 'epoch_2.pth', of_earlier_version / 'epoch_9.pth')  # of another run
    train(of_earlier_version, TWO_EPOCHS, resume=True)
    record = record_of(of_earlier_version)
    assert record['run'] == first
    assert [start['iter'] for start in record['starts']] == [75, 75]

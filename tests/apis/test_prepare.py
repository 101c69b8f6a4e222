"""A run builds its network and its datasets once, and reads its checkpoint once."""
import json
import os
from collections import Counter

import pytest
from mmpretrain.datasets import BaseDataset

from mmconvmixer.apis.prepare import open_config
from mmconvmixer.checkpoints import read
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.engine import Runner
from mmconvmixer.models import ConvMixer

SEEDED = {'randomness.seed': 3}


@pytest.fixture
def counts(monkeypatch):
    """Count networks that are built, checkpoint files that are read, datasets that are listed."""
    counts = Counter()

    def count(owner, name, what):
        function = getattr(owner, name)

        def counting(*args, **options):
            counts[what] += 1
            return function(*args, **options)
        monkeypatch.setattr(owner, name, counting)

    count(ConvMixer, '__init__', 'networks')
    count(read, 'read_torch', 'reads')
    count(BaseDataset, '__init__', 'datasets')
    return counts


@pytest.mark.parametrize('options', [
    {}, dict(tta=True), dict(strict=False), dict(amp=True), dict(backend='torch'),
    dict(overrides={'load_from': 'of_the_training.pth', 'resume': True})],
    ids=['plain', 'tta', 'not strict', 'amp', 'backend', 'a training config'])
def test_an_evaluation_builds_and_reads_once(evaluate, trained, tmp_path, counts, options):
    evaluate(trained, tmp_path / 'work', **options)
    assert counts == dict(networks=1, reads=1, datasets=1)


def test_an_evaluation_on_own_images_builds_and_reads_once(
        evaluate, trained, image_folder, tmp_path, counts):
    image_folder(tmp_path / 'data/test', 12)
    for number in range(10):
        (tmp_path / f'data/test/class{number}').rename(tmp_path / f'data/test/{number}')
    evaluate(trained, tmp_path / 'work', data=str(tmp_path / 'data'), overrides={
        'test_dataloader.dataset.pipeline.0.color_type': 'grayscale'})
    assert counts == dict(networks=1, reads=1, datasets=1)


def test_training_from_scratch_builds_once_and_reads_nothing(train, tmp_path, counts):
    train(tmp_path)
    assert counts == dict(networks=1, datasets=2)


@pytest.mark.parametrize('overrides', [{}, dict(new_head=True)], ids=['all', 'new head'])
@pytest.mark.parametrize('strict', [True, False])
def test_training_from_weights_builds_and_reads_once(
        train, trained, tmp_path, counts, strict, overrides):
    train(tmp_path, dict(overrides, load_from=str(trained)), strict=strict)
    assert counts == dict(networks=1, reads=1, datasets=2)


@pytest.mark.parametrize('given', ['--resume', '--resume PATH', 'config'])
def test_resuming_builds_and_reads_once(train, tmp_path, counts, given):
    train(tmp_path)
    counts.clear()
    resume = {'--resume': True, '--resume PATH': str(tmp_path / 'epoch_1.pth'), 'config': False}
    train(tmp_path, {'train_cfg.max_epochs': 2, 'resume': given == 'config'},
          resume=resume[given])
    assert (tmp_path / 'epoch_2.pth').is_file()
    assert counts == dict(networks=1, reads=1, datasets=2)


def test_training_on_own_images_builds_and_reads_once(
        train, trained, image_folder, tmp_path, counts):
    image_folder(tmp_path / 'data', 80, classes=2)
    train(tmp_path / 'run', dict(load_from=str(trained)), data=str(tmp_path / 'data'))
    assert counts == dict(networks=1, reads=1, datasets=2)


def test_without_validation_its_images_are_not_read(train, tmp_path, counts):
    train(tmp_path, validate=False)
    assert counts == dict(networks=1, datasets=1)


def test_a_network_built_ahead_trains_like_one_that_the_runner_builds(
        train, toy_config, same_weights, tmp_path):
    ahead = train(tmp_path / 'ahead', SEEDED)
    cfg = open_config(toy_config, SEEDED, str(tmp_path / 'runner'))
    fill_in(cfg, ['train_dataloader', 'val_dataloader', 'test_dataloader'])
    assert same_weights(ahead.state_dict(), Runner.from_cfg(cfg).train().state_dict())


def test_what_was_found_out_does_not_travel_through_the_config(train, trained, tmp_path):
    train(tmp_path, {'load_from': str(trained), 'randomness.seed': None}, strict=False,
          validate=False)
    written = (tmp_path / 'toy.py').read_text()
    assert 'strict_load' not in written
    assert f"load_from = '{trained}'" in written
    assert 'seed=None' in written


def test_the_config_in_the_work_dir_records_how_the_run_began(train, tmp_path):
    train(tmp_path, validate=False)
    assert 'resume = False' in (tmp_path / 'toy.py').read_text()
    train(tmp_path, {'train_cfg.max_epochs': 2}, resume=True, validate=False)
    written = (tmp_path / 'toy.py').read_text()
    assert 'resume = True' in written
    assert f"load_from = '{tmp_path / 'epoch_1.pth'}'" in written


def test_each_of_two_processes_builds_and_reads_once(
        in_two_processes, evaluate, trained, tmp_path, counts):
    def counted():
        evaluate(trained, tmp_path / 'work', launcher='pytorch')
        (tmp_path / os.environ['RANK']).write_text(json.dumps(counts))

    in_two_processes(counted)
    for rank in ('0', '1'):
        assert json.loads((tmp_path / rank).read_text()) == dict(networks=1, reads=1, datasets=1)

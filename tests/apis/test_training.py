import json
import os
import subprocess

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmconvmixer._support.lock import claimed
from mmconvmixer.checkpoints import write_checkpoint

# Two iterations an epoch.
SHORT = {'train_dataloader.num_batch_per_epoch': 2, 'default_hooks.checkpoint.max_keep_ckpts': -1}


def epochs(count, seed=0, **more):
    return {**SHORT, 'train_cfg.max_epochs': count, 'randomness.seed': seed, **more}


@HOOKS.register_module(force=True)
class FailAtOnce(Hook):

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise KeyboardInterrupt


@pytest.fixture(scope='module')
def seed_1(train, tmp_path_factory):
    """An uninterrupted run with seed 1."""
    folder = tmp_path_factory.mktemp('seed_1')
    train(folder, epochs(3, seed=1), validate=False)
    return folder


def test_resuming_a_run_in_the_folder_of_another_one_continues_the_newer_run(
        train, tmp_path, seed_1, weights_of, same_weights):
    train(tmp_path, epochs(4), validate=False)
    train(tmp_path, epochs(2, seed=1), validate=False)
    train(tmp_path, epochs(3, seed=1), validate=False, resume=True)
    assert same_weights(weights_of(tmp_path / 'epoch_3.pth'), weights_of(seed_1 / 'epoch_3.pth'))


def test_so_does_one_that_was_stopped_before_its_first_checkpoint(
        train, tmp_path, seed_1, weights_of, same_weights):
    train(tmp_path, epochs(2), validate=False)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs(3, seed=1, custom_hooks=[dict(type='mmengine.FailAtOnce')]),
              validate=False)
    train(tmp_path, epochs(3, seed=1), validate=False, resume=True)
    assert same_weights(weights_of(tmp_path / 'epoch_3.pth'), weights_of(seed_1 / 'epoch_3.pth'))


def test_a_stray_file_of_another_network_does_not_stop_resuming(train, tmp_path, seed_1):
    train(tmp_path, epochs(1), validate=False)
    write_checkpoint(dict(state_dict=dict(other=torch.ones(3))), tmp_path / 'epoch_9.pth')
    train(tmp_path, epochs(2), validate=False, resume=True)
    assert (tmp_path / 'epoch_2.pth').is_file()


def test_resuming_from_an_earlier_checkpoint_continues_from_there_also_the_next_time(
        train, tmp_path, weights_of, same_weights):
    train(tmp_path, epochs(3), validate=False)
    first = weights_of(tmp_path / 'epoch_3.pth')
    other = {'optim_wrapper.optimizer.weight_decay': 0.3}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs(3, custom_hooks=[dict(type='mmengine.FailAtOnce')], **other),
              validate=False, resume=str(tmp_path / 'epoch_1.pth'))
    train(tmp_path, epochs(2, **other), validate=False, resume=True)
    record = json.loads((tmp_path / 'run.json').read_text())
    assert [entry['epoch'] for entry in record['history']] == [1, 2]
    assert same_weights(weights_of(tmp_path / 'epoch_3.pth'), first)  # of the first branch


def test_a_second_run_in_a_folder_is_refused_in_one_line(tool, toy_config, tmp_path):
    work_dir = tmp_path / 'work'
    with claimed(work_dir):
        before = sorted(tmp_path.rglob('*'))
        done = tool('train', toy_config, '--work-dir', work_dir)
        assert done.code == 2
        assert done.err.startswith(f'error: another run is writing to {work_dir}')
        assert len(done.err.splitlines()) == 1 and '--work-dir' in done.err
        assert sorted(tmp_path.rglob('*')) == before


def test_a_run_that_fails_leaves_its_folder_free(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs(1, custom_hooks=[dict(type='mmengine.FailAtOnce')]))
    with claimed(tmp_path):
        pass


def two_processes(python, config, folder, port, names, *options):
    """Start one process of a run in each folder; return exit codes, outputs and errors."""
    started = []
    for rank, name in enumerate(names):
        env = {**os.environ, 'OMP_NUM_THREADS': '1', 'RANK': str(rank), 'WORLD_SIZE': '2',
               'LOCAL_RANK': str(rank), 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port),
               'PYTHONWARNINGS': 'ignore'}
        (folder / name).mkdir(exist_ok=True)
        started.append(subprocess.Popen(
            [python, '-m', 'mmconvmixer', 'train', config, '--launcher', 'pytorch',
             '--no-validate', '--work-dir', 'work', *options], cwd=folder / name, text=True,
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    outputs = [process.communicate(timeout=200) for process in started]
    return [(process.returncode, *output)
            for process, output in zip(started, outputs, strict=True)]


def test_processes_without_a_common_folder_resume_from_the_checkpoint_of_the_first(
        train, warm_python, toy_config, tmp_path, free_port):
    for name, count in (('node0', 1), ('node1', 2)):  # the second has a leftover of another run
        train(tmp_path / name / 'work', epochs(count), validate=False)
    options = ['--resume', '--cfg-options', 'train_cfg.max_epochs=2',
               'train_dataloader.batch_size=300']
    first, second = two_processes(
        warm_python, toy_config, tmp_path, free_port, ['node0', 'node1'], *options)
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert 'resumes from work/epoch_1.pth, which this process sends' in first[1]
    assert 'resumed epoch: 1, iter: 2' in first[1]
    assert (tmp_path / 'node0/work/epoch_2.pth').is_file()


def test_a_checkpoint_that_only_one_process_has_ends_all_with_one_line(
        trained, warm_python, toy_config, tmp_path, free_port):
    (tmp_path / 'node0').mkdir()
    (tmp_path / 'node0/start.pth').write_bytes(trained.read_bytes())
    first, second = two_processes(
        warm_python, toy_config, tmp_path, free_port, ['node0', 'node1'], '--resume', 'start.pth')
    assert (first[0], second[0]) == (2, 2)
    assert len((first[2] + second[2]).splitlines()) == 1
    assert 'start.pth is neither a file' in first[2] and '(seen by process 1)' in first[2]

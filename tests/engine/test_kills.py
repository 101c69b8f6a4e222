"""Runs that are killed at random moments again and again, and resumed, end in the same files.

    MMCONVMIXER_KILLS=1000 pytest -m slow tests/engine/test_kills.py
"""
import json
import multiprocessing
import os
import random
import signal
import time

import pytest

from mmconvmixer.checkpoints import read_checkpoint

KILLS = int(os.environ.get('MMCONVMIXER_KILLS', '100'))

# Five iterations an epoch, each epoch validated; the best of three need not be the last.
RUN = {'train_dataloader.batch_size': 256, 'train_cfg.max_epochs': 3,
       'default_hooks.checkpoint.save_best': 'accuracy/top1',
       'default_hooks.checkpoint.max_keep_ckpts': 2}
RUNS = {
    'a checkpoint each epoch': {},
    'a checkpoint every two iterations': {
        'default_hooks.checkpoint.by_epoch': False, 'default_hooks.checkpoint.interval': 2},
    'accumulated gradients, averaged weights, a loader process': {
        'optim_wrapper.accumulative_counts': 2, 'train_dataloader.num_workers': 1,
        'custom_hooks': [dict(type='EMAHook', momentum=0.2)],
        'default_hooks.checkpoint.by_epoch': False, 'default_hooks.checkpoint.interval': 3}}


def quiet(train, *args, **options):
    with open(os.devnull, 'w') as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    train(*args, **options)


def left(work_dir):
    """The checkpoints (a hash of each weight) and the record's history, without times."""
    checkpoints = {
        path.name: [hash(value.numpy().tobytes())
                    for value in read_checkpoint(path)['state_dict'].values()]
        for path in work_dir.glob('*.pth')}
    record = json.loads((work_dir / 'run.json').read_text())
    for entry in record['history']:
        del entry['seconds']
    return checkpoints, record['history'], (work_dir / 'last_checkpoint').read_text()[-12:]


@pytest.mark.slow
@pytest.mark.parametrize('name', RUNS)
def test_kills_at_random_moments_change_nothing(train, tmp_path, name):
    chance = random.Random(name)
    overrides = {**RUN, **RUNS[name]}
    fork = multiprocessing.get_context('fork')  # saves the imports

    def start(folder, in_training=True):
        """Start a run; return its process, once it has made the folder of this start."""
        before = len(list(folder.glob('2*')))
        process = fork.Process(target=quiet, args=(train, folder, overrides),
                               kwargs=dict(resume=True))
        process.start()
        while in_training and process.is_alive() and len(list(folder.glob('2*'))) == before:
            time.sleep(0.01)
        return process

    whole = start(tmp_path / 'whole')
    began = time.monotonic()
    whole.join()
    duration, expected = time.monotonic() - began, left(tmp_path / 'whole')
    assert whole.exitcode == 0 and len(expected[1]) == 3

    kills = finished = 0
    while kills < -(-KILLS // len(RUNS)):
        folder = tmp_path / f'cut{finished}'
        while True:
            process = start(folder, in_training=chance.random() < 0.9)
            process.join(chance.uniform(0, duration))
            if process.exitcode is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        assert process.exitcode == 0
        finished += 1
        assert left(folder) == expected, f'after {kills} kills'
        print(f'{name}: {kills} kills, {finished} runs', flush=True)

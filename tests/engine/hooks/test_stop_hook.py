import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmconvmixer.checkpoints import read_checkpoint

# Five iterations an epoch.
SHORT = {'train_dataloader.num_batch_per_epoch': 5, 'train_cfg.max_epochs': 2}


@HOOKS.register_module(force=True)
class SignalAt(Hook):
    """Send a signal to this process in an iteration, or in the validation after an epoch."""

    def __init__(self, number, train_iter=None, val_epoch=None):
        self.number, self.train_iter, self.val_epoch = number, train_iter, val_epoch

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.train_iter:
            os.kill(os.getpid(), self.number)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == self.val_epoch and batch_idx == 1:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope='module')
def whole(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    train(folder, SHORT)
    return folder


@pytest.mark.parametrize('number, code, where, done', [
    (signal.SIGTERM, 143, dict(train_iter=2), 3),
    (signal.SIGINT, 130, dict(train_iter=4), 5),
    (signal.SIGINT, 130, dict(val_epoch=1), 5)],
    ids=['inside an epoch', 'in its last iteration', 'in a validation'])
def test_a_signal_ends_a_run_after_the_iteration_and_it_resumes_to_the_same_weights(
        train, tmp_path, whole, weights_of, same_weights, number, code, where, done):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    hook = dict(type='mmengine.SignalAt', number=int(number), **where)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, {**SHORT, 'custom_hooks': [hook]})
    assert stopped.value.code == code
    assert read_checkpoint(tmp_path / 'interrupted.pth')['meta']['iter'] == done
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    train(tmp_path, SHORT, resume=True)
    assert same_weights(weights_of(tmp_path / 'epoch_2.pth'), weights_of(whole / 'epoch_2.pth'))
    assert not (tmp_path / 'interrupted.pth').exists()


def test_averaged_weights_are_saved_as_outside_of_a_validation(
        train, tmp_path, weights_of, same_weights):
    average = dict(type='EMAHook', momentum=0.3)
    train(tmp_path / 'whole', {**SHORT, 'custom_hooks': [average]})
    hook = dict(type='mmengine.SignalAt', number=int(signal.SIGTERM), val_epoch=1)
    with pytest.raises(SystemExit):
        train(tmp_path / 'cut', {**SHORT, 'custom_hooks': [average, hook]})
    train(tmp_path / 'cut', {**SHORT, 'custom_hooks': [average]}, resume=True)
    assert same_weights(weights_of(tmp_path / 'cut/epoch_2.pth'),
                        weights_of(tmp_path / 'whole/epoch_2.pth'))


def test_outside_of_the_main_thread_a_run_handles_no_signals(train, tmp_path):
    thread = threading.Thread(target=train, args=[tmp_path, {**SHORT, 'train_cfg.max_epochs': 1}],
                              kwargs=dict(validate=False))
    thread.start()
    thread.join()
    assert (tmp_path / 'epoch_1.pth').is_file()


def start(shell, config, work_dir, **environment):
    """Start a training in its own process group, with loader processes."""
    return subprocess.Popen(
        [sys.executable, 'tools/train.py', config, '--work-dir', work_dir, '--cfg-options',
         'train_dataloader.num_workers=2', 'train_cfg.max_epochs=400'],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=shell.keywords['cwd'], env={**shell.keywords['env'], **environment})


def wait_for(path):
    end = time.monotonic() + 100
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert path.exists()


def test_a_signal_to_all_processes_of_a_run_ends_it_in_the_same_way(
        shell, toy_config, tmp_path):
    run = start(shell, toy_config, tmp_path)
    wait_for(tmp_path / 'epoch_1.pth')
    os.killpg(run.pid, signal.SIGTERM)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 143, errors
    assert 'Stopped by SIGTERM after' in output and errors == ''
    assert read_checkpoint(tmp_path / 'interrupted.pth')['optimizer']


SLOW_ITERATION = '''
import time
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class SlowIteration(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        open(runner.work_dir + '/began', 'w').close()
        time.sleep(60)
'''


def test_a_second_signal_ends_it_at_once(shell, toy_config, tmp_path):
    (tmp_path / 'slow_iteration.py').write_text(SLOW_ITERATION)
    config = tmp_path / 'slow.py'
    config.write_text(f"_base_ = ['{toy_config}']\n"
                      "custom_imports = dict(imports=['mmconvmixer', 'slow_iteration'])\n"
                      "custom_hooks = [dict(type='mmengine.SlowIteration')]\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get('PYTHONPATH', '')])
    run = start(shell, config, tmp_path, PYTHONPATH=path)
    wait_for(tmp_path / 'began')
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=20)
    assert run.returncode == -signal.SIGINT
    assert not (tmp_path / 'interrupted.pth').exists()

"""kill -9 at any moment of a real CIFAR-10 training."""
import random
import signal
import subprocess
import sys
import time

import pytest

EPOCHS = 4


@pytest.mark.slow
def test_a_run_killed_in_every_epoch_ends_in_the_weights_of_an_uninterrupted_one(
        unpacked, shell, repo, tmp_path, weights_of, same_weights):
    """128/4 on 5,000 images, from memory, with the shipped recipe's augmentation."""
    command = [
        sys.executable, 'tools/train.py', 'configs/convmixer/convmixer-128-4_cifar10.py',
        '--no-validate', '--cfg-options', 'randomness.deterministic=True',
        f'train_cfg.max_epochs={EPOCHS}', 'param_scheduler.epochs=[0,1,3,4]',
        'train_dataloader.dataset.dataset.part=held-out',
        f'train_dataloader.dataset.dataset.data_root={unpacked("cifar10", "train")}']

    def start(name, *options):
        return subprocess.Popen([*command[:3], '--work-dir', tmp_path / name, *options,
                                 *command[3:]], cwd=repo, env=shell.keywords['env'],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start('whole').wait(timeout=600) == 0

    waits = random.Random(0)
    for epoch in range(1, EPOCHS):
        run = start('killed', '--resume')
        while not (tmp_path / f'killed/epoch_{epoch}.pth').exists():
            assert run.poll() is None, f'the run ended by itself before epoch {epoch}'
            time.sleep(0.01)
        time.sleep(waits.uniform(0, 5))
        run.kill()
        assert run.wait() == -signal.SIGKILL
    assert not (tmp_path / f'killed/epoch_{EPOCHS}.pth').exists()
    assert start('killed', '--resume').wait(timeout=600) == 0

    whole, killed = (tmp_path / name / f'epoch_{EPOCHS}.pth' for name in ('whole', 'killed'))
    assert same_weights(weights_of(whole), weights_of(killed))

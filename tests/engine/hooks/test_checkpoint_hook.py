import os
import resource
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mmconvmixer.checkpoints import latest_checkpoint, read_checkpoint
from mmconvmixer.engine import Runner
from mmconvmixer.errors import OutputNotWritable


class Toy(torch.nn.Module):

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(100_000))

    def train_step(self, data, optim_wrapper):
        optim_wrapper.update_params((self.weight * data['inputs'].mean()).sum())
        return {}


def run(work_dir, epochs, keep, resume=None, by_epoch=True, hooks=(), **checkpoint):
    loop = dict(by_epoch=True, max_epochs=epochs) if by_epoch else dict(
        by_epoch=False, max_iters=epochs)
    Runner(
        Toy(), str(work_dir),
        train_dataloader=torch.utils.data.DataLoader(
            [dict(inputs=torch.ones(1))] * 2),
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=dict(
            type='mmpretrain.CheckpointHook', interval=1, by_epoch=by_epoch,
            max_keep_ckpts=keep, **checkpoint)),
        custom_hooks=list(hooks), load_from=resume, resume=resume is not None,
        experiment_name=f'{work_dir.parent.name}-{work_dir.name}-{epochs}',
    ).train()


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir()
                  if path.suffix == '.pth' or '.part' in path.name)


class Moments(Hook):
    """List the complete checkpoints before and after every file operation."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.complete = folder, []
        for owner, name in ((os, 'replace'), (os, 'unlink'), (os, 'remove'),
                            (os, 'fsync'), (torch, 'save')):
            monkeypatch.setattr(owner, name, self.watched(getattr(owner, name)))

    def watched(self, call):
        def look_around(*args, **kwargs):
            self.look()
            result = call(*args, **kwargs)
            self.look()
            return result
        return look_around

    def look(self):
        found = []
        for path in Path(self.folder).glob('*.pth'):
            read_checkpoint(path)  # raises for a half-written one
            found.append(path.name)
        self.complete.append(sorted(found))


def test_with_one_kept_a_complete_checkpoint_exists_at_every_moment(
        tmp_path, monkeypatch):
    moments = Moments(tmp_path, monkeypatch)
    run(tmp_path, 4, keep=1)
    first = next(i for i, found in enumerate(moments.complete) if found)
    assert len(moments.complete) - first > 6
    assert all(moments.complete[first:])
    assert names(tmp_path) == ['epoch_4.pth']


@pytest.mark.parametrize('keep, left', [
    (1, ['epoch_4.pth']), (2, ['epoch_3.pth', 'epoch_4.pth']),
    (-1, [f'epoch_{n}.pth' for n in (1, 2, 3, 4)])])
def test_the_newest_are_kept(tmp_path, keep, left):
    run(tmp_path, 4, keep)
    assert names(tmp_path) == left
    assert latest_checkpoint(tmp_path).name == 'epoch_4.pth'
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_4.pth')


def test_after_resuming_old_checkpoints_are_still_removed(tmp_path):
    run(tmp_path, 3, keep=2)
    run(tmp_path, 5, keep=2, resume=str(tmp_path / 'epoch_3.pth'))
    assert names(tmp_path) == ['epoch_4.pth', 'epoch_5.pth']


def test_after_resuming_with_fewer_kept_the_surplus_is_removed(tmp_path):
    run(tmp_path, 3, keep=3)
    run(tmp_path, 4, keep=1, resume=str(tmp_path / 'epoch_3.pth'))
    assert names(tmp_path) == ['epoch_4.pth']


def test_a_run_by_iterations_keeps_its_newest(tmp_path):
    run(tmp_path, 5, keep=2, by_epoch=False)
    assert names(tmp_path) == ['iter_4.pth', 'iter_5.pth']


def test_a_disk_that_fills_up_while_saving_leaves_the_previous_checkpoint(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class DiskFull(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 2:  # limits files to half the size of a checkpoint
                half = (tmp_path / 'epoch_2.pth').stat().st_size // 2
                resource.setrlimit(resource.RLIMIT_FSIZE, (half, before[1]))

    try:
        with pytest.raises(OutputNotWritable, match='epoch_3.pth.*File too large'):
            run(tmp_path, 4, keep=1, hooks=[DiskFull()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ['epoch_2.pth']
    assert read_checkpoint(tmp_path / 'epoch_2.pth')['meta']['epoch'] == 2

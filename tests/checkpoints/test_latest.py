import pytest
import torch

from mmconvmixer.checkpoints import latest_checkpoint


def save(path):
    torch.save(dict(state_dict=dict(weight=torch.rand(100))), path)
    return path


def empty(path):
    path.touch()


def half_written(path):
    data = save(path).read_bytes()
    path.write_bytes(data[:len(data) // 2])


def all_but_one_byte(path):
    path.write_bytes(save(path).read_bytes()[:-1])


def zeros_as_a_crash_leaves_them(path):
    path.write_bytes(bytes(len(save(path).read_bytes())))


def half_written_in_the_old_format(path):
    torch.save(dict(state_dict=dict(weight=torch.rand(100))), path,
               _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) - 100])


def text(path):
    path.write_text('hello')


def folder(path):
    path.mkdir()


def link_to_nothing(path):
    path.symlink_to(path.with_name('gone.pth'))


NOT_CHECKPOINTS = [empty, half_written, all_but_one_byte, zeros_as_a_crash_leaves_them,
                   half_written_in_the_old_format, text, folder, link_to_nothing]


@pytest.mark.parametrize('damage', NOT_CHECKPOINTS,
                         ids=lambda damage: damage.__name__.replace('_', ' '))
def test_what_is_not_a_complete_checkpoint_is_skipped(tmp_path, damage):
    save(tmp_path / 'epoch_1.pth')
    save(tmp_path / 'epoch_2.pth')
    damage(tmp_path / 'epoch_3.pth')
    assert latest_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'


def test_several_damaged_ones_are_skipped(tmp_path):
    save(tmp_path / 'iter_100.pth')
    half_written(tmp_path / 'iter_200.pth')
    empty(tmp_path / 'iter_300.pth')
    assert latest_checkpoint(str(tmp_path)) == tmp_path / 'iter_100.pth'


@pytest.mark.parametrize('kind', ['epoch', 'iter'])
def test_the_latest_has_the_highest_number(tmp_path, kind):
    for number in (10, 9, 100):
        save(tmp_path / f'{kind}_{number}.pth')
    assert latest_checkpoint(tmp_path) == tmp_path / f'{kind}_100.pth'


def test_other_files_are_not_checkpoints_of_the_run(tmp_path):
    save(tmp_path / 'epoch_1.pth')
    for name in ('best_accuracy_top1_epoch_9.pth', 'last.pth', '.epoch_9.ab12.part.pth',
                 'epoch_9.pth.tmp', 'epoch_x.pth', 'epoch_9_ema.pth'):
        save(tmp_path / name)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_9.pth'))
    assert latest_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'


@pytest.mark.parametrize('name', ['empty', 'missing', 'damaged'])
def test_without_a_complete_checkpoint_there_is_none(tmp_path, name):
    for existing in ('empty', 'damaged'):
        (tmp_path / existing).mkdir()
    half_written(tmp_path / 'damaged/epoch_1.pth')
    assert latest_checkpoint(tmp_path / name) is None

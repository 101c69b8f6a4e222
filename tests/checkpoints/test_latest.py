import json

import pytest
import torch

from mmconvmixer.checkpoints import latest_checkpoint, write_checkpoint


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


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """A work dir with `save(name, run)`, `record(run)` and `last(name)`."""
    class RunDir:
        path = tmp_path / 'work'
        said = []

        def save(self, name, run=None, **meta):
            meta = meta if run is None else dict(meta, run=run)
            write_checkpoint(dict(state_dict=dict(w=torch.ones(1)), meta=meta), self.path / name)

        def record(self, run, **record):
            (self.path / 'run.json').write_text(
                json.dumps(dict(record, run=run, history=[], seconds=1.)))

        def last(self, name):
            (self.path / 'last_checkpoint').write_text(f'/somewhere/else/{name}')

        @property
        def latest(self):
            path = latest_checkpoint(self.path)
            return path and path.name

    RunDir.path.mkdir()
    monkeypatch.setattr('mmconvmixer.checkpoints.latest.print_log',
                        lambda text, *_: RunDir.said.append(text))
    return RunDir()


def test_a_run_resumes_from_what_it_saved_last_and_not_from_the_highest_number(run_dir):
    for epoch in range(1, 7):
        run_dir.save(f'epoch_{epoch}.pth', 'new' if epoch < 3 else 'old')
    run_dir.record('new')
    run_dir.last('epoch_2.pth')
    assert run_dir.latest == 'epoch_2.pth'
    said, = run_dir.said
    assert 'left aside: epoch_3.pth, epoch_4.pth, epoch_5.pth, epoch_6.pth' in said
    assert 'the run saved epoch_2.pth last' in said and '--resume PATH' in said


def test_the_files_of_an_earlier_run_are_left_aside_before_the_run_has_saved_any(run_dir):
    run_dir.save('epoch_6.pth', 'old')
    run_dir.save('epoch_5.pth')
    run_dir.record('new')
    assert run_dir.latest is None
    assert 'left aside: epoch_5.pth, epoch_6.pth' in run_dir.said[-1]


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before_it_of_the_same_run(run_dir):
    run_dir.save('epoch_6.pth', 'old')
    run_dir.save('epoch_1.pth', 'new')
    run_dir.save('epoch_2.pth', 'old')
    (run_dir.path / 'epoch_3.pth').write_bytes(b'PK')
    run_dir.record('new')
    run_dir.last('epoch_3.pth')
    assert run_dir.latest == 'epoch_1.pth'


@pytest.mark.parametrize(('made', 'found'), [
    ({'epoch_1.pth': 10, 'epoch_2.pth': 20, 'epoch_3.pth': 30}, 'epoch_2.pth'),
    ({'epoch_1.pth': 10, 'epoch_3.pth': 30}, 'epoch_1.pth'), ({'epoch_3.pth': 30}, None)])
def test_checkpoints_without_an_identifier_are_the_run_s_up_to_where_it_got_one(
        run_dir, made, found):
    for name, done in made.items():
        run_dir.save(name, iter=done)
    run_dir.save('epoch_4.pth')  # not even an iteration
    run_dir.record('new', run_from=20)
    assert run_dir.latest == found


@pytest.mark.parametrize('record', ['', '{', '[]', '{"history": 3}', '\xff',
                                    '{"history": [{}], "seconds": 1}'])
def test_without_a_readable_record_the_last_checkpoint_decides(run_dir, record):
    run_dir.save('epoch_6.pth', 'old')
    run_dir.save('epoch_2.pth', 'new')
    run_dir.last('epoch_2.pth')
    (run_dir.path / 'run.json').write_text(record, encoding='latin1')
    assert run_dir.latest == 'epoch_2.pth'


@pytest.mark.parametrize('last', [None, ''])
def test_without_either_the_highest_number_decides(run_dir, last):
    run_dir.save('epoch_9.pth')
    run_dir.save('epoch_10.pth')
    run_dir.save('best_accuracy_top1_epoch_11.pth')
    if last is not None:
        (run_dir.path / 'last_checkpoint').write_text(last)
    assert run_dir.latest == 'epoch_10.pth'


@pytest.mark.parametrize('last', ['epoch_1.pth', 'epoch_2.pth'],
                         ids=['copied', 'removed from the copy'])
def test_in_a_copied_folder_the_copy_counts(run_dir, tmp_path, last):
    run_dir.save('epoch_1.pth')
    original = tmp_path / 'original'
    original.mkdir()
    write_checkpoint(dict(state_dict=dict(w=torch.ones(1)), meta={}), original / last)
    (run_dir.path / 'last_checkpoint').write_text(str(original / last))
    assert latest_checkpoint(run_dir.path) == run_dir.path / 'epoch_1.pth'


def test_checkpoints_saved_elsewhere_are_found(run_dir, tmp_path):
    write_checkpoint(dict(state_dict=dict(w=torch.ones(1)), meta={}), tmp_path / 'epoch_1.pth')
    (run_dir.path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    assert latest_checkpoint(run_dir.path) == tmp_path / 'epoch_1.pth'

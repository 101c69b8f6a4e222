import shutil
import sys

import pytest
import torch
from torch.utils.data import DataLoader

from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint


def test_it_has_every_option_of_mmpretrain_s_and_no_strict(tools, options_of):
    assert options_of(tools('train')) == {
        'config', '-h', '--help', '--data', '--work-dir', '--resume', '--amp', '--no-validate',
        '--auto-scale-lr', '--no-pin-memory', '--no-persistent-workers', '--cfg-options',
        '--launcher', '--local_rank', '--local-rank', '--no-strict', '--verbose'}


def test_it_trains_validates_saves_and_returns_0(tool, toy_config, tmp_path):
    done = tool('train', toy_config, '--work-dir', tmp_path / 'work')
    assert done.code == 0, done.err
    checkpoint = read_checkpoint(tmp_path / 'work/epoch_1.pth')
    assert checkpoint['meta']['epoch'] == 1
    assert checkpoint['meta']['dataset_meta']['classes'] == tuple('0123456789')
    assert 'Epoch(val) [1][5/5]    accuracy/top1' in done.out


def test_the_work_dir_is_named_after_the_config_if_left_out(
        tool, toy_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tool('train', toy_config, '--no-validate').code == 0
    assert (tmp_path / 'work_dirs/toy/epoch_1.pth').is_file()


def test_no_validate_leaves_out_the_evaluations_and_nothing_else(
        tool, toy_config, trained, weights_of, same_weights, tmp_path):
    done = tool('train', toy_config, '--work-dir', tmp_path, '--no-validate')
    assert 'Epoch(val)' not in done.out and 'accuracy' not in done.out
    assert same_weights(weights_of(tmp_path / 'epoch_1.pth'), weights_of(trained))


def test_cfg_options_reach_the_run(tool, toy_config, tmp_path):
    tool('train', toy_config, '--work-dir', tmp_path, '--no-validate', '--cfg-options',
         'train_dataloader.batch_size=300', 'model.backbone.arch=4/1-p2-k3',
         'model.head.in_channels=4', 'train_cfg.max_epochs=2')
    checkpoint = read_checkpoint(tmp_path / 'epoch_2.pth')
    assert checkpoint['meta']['iter'] == 2 * 4  # of 1,198 digits
    assert checkpoint['state_dict']['backbone.stem.0.weight'].shape == (4, 1, 2, 2)


def test_auto_scale_lr_scales_by_the_batch_size(tool, toy_config, tmp_path):
    options = ['--no-validate', '--cfg-options', 'auto_scale_lr.base_batch_size=64',
               'train_dataloader.batch_size=256']
    rates = []
    for name, extra in (('plain', []), ('scaled', ['--auto-scale-lr'])):
        tool('train', toy_config, *extra, '--work-dir', tmp_path / name, *options)
        checkpoint = read_checkpoint(tmp_path / name / 'epoch_1.pth')
        rates.append(checkpoint['optimizer']['param_groups'][0]['lr'])
    assert rates[1] == pytest.approx(4 * rates[0])


@pytest.fixture
def dtypes(monkeypatch):
    """The dtypes that linear layers return, as the test goes on."""
    seen, forward = [], torch.nn.Linear.forward

    # Not a hook: with one, ConvMixer calls its modules instead of fused kernels.
    def watched(layer, x):
        out = forward(layer, x)
        seen.append(out.dtype)
        return out
    monkeypatch.setattr(torch.nn.Linear, 'forward', watched)
    return seen


def test_amp_trains_in_bfloat16_on_a_cpu_where_it_is_asked_for(
        tool, toy_config, trained, weights_of, processor, dtypes, tmp_path):
    processor('with VNNI and bfloat16')
    done = tool('train', toy_config, '--work-dir', tmp_path, '--no-validate', '--amp',
                '--cfg-options', 'optim_wrapper.dtype=bfloat16')
    assert done.code == 0, done.err
    assert set(dtypes) == {torch.bfloat16}
    weights = weights_of(tmp_path / 'epoch_1.pth')
    full = weights_of(trained)
    assert {value.dtype for value in weights.values()} == {
        value.dtype for value in full.values()}
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize('options', [[], ['--cfg-options', 'optim_wrapper.dtype=bfloat16'],
                                     ['--cfg-options', 'val_cfg.fp16=True']])
def test_amp_on_a_processor_without_bfloat16_is_a_training_in_float32_and_says_so(
        tool, toy_config, trained, weights_of, same_weights, processor, dtypes, tmp_path, options):
    processor('with AVX2 alone')
    done = tool('train', toy_config, '--work-dir', tmp_path, '--amp', *options)
    assert done.code == 0, done.err
    assert 'this processor has no bfloat16 instructions: computing in float32' in done.out
    assert set(dtypes) == {torch.float32}
    assert same_weights(weights_of(tmp_path / 'epoch_1.pth'), weights_of(trained))


@pytest.mark.parametrize('options, persistent', [
    ((), True), (('--no-persistent-workers',), False)])
def test_persistent_workers_follow_the_options(
        tool, toy_config, tmp_path, monkeypatch, options, persistent):
    made = []
    create = DataLoader.__init__

    def noted(self, *args, **kwargs):
        create(self, *args, **kwargs)
        made.append((self.persistent_workers, self.pin_memory))
    monkeypatch.setattr(DataLoader, '__init__', noted)
    tool('train', toy_config, '--work-dir', tmp_path, '--no-validate', '--no-pin-memory',
         *options, '--cfg-options', 'train_dataloader.num_workers=1')
    assert made == [(persistent, False)]


def test_resume_takes_a_path_too(tool, toy_config, trained, tmp_path):
    done = tool('train', toy_config, '--work-dir', tmp_path, '--resume', trained,
                '--no-validate', '--cfg-options', 'train_cfg.max_epochs=2')
    assert done.code == 0, done.err
    assert read_checkpoint(tmp_path / 'epoch_2.pth')['meta']['epoch'] == 2
    assert 'Epoch(train) [1]' not in done.out and 'Epoch(train) [2]' in done.out


def test_load_from_starts_from_the_weights_only(tool, toy_config, trained, tmp_path):
    done = tool('train', toy_config, '--work-dir', tmp_path, '--no-validate', '--cfg-options',
                f'load_from={trained}')
    assert done.code == 0, done.err
    assert f'Load checkpoint from {trained}' in done.out
    assert 'Epoch(train) [1][50/75]' in done.out
    assert read_checkpoint(tmp_path / 'epoch_1.pth')['meta']['epoch'] == 1


def test_no_strict_starts_from_what_fits(tool, toy_config, bad_checkpoints, tmp_path):
    path, said = bad_checkpoints['seven classes']
    done = tool('train', toy_config, '--work-dir', tmp_path, '--no-validate', '--no-strict',
                '--cfg-options', f'load_from={path}')
    assert done.code == 0, done.err
    assert said in done.out


def image_training(toy_config, folder, path, extra=''):
    """Write a config that trains on a folder of images."""
    path.write_text(f"""
_base_ = ['{toy_config}']
train_dataloader = dict(batch_size=8, dataset=dict(
    _delete_=True, type='CustomDataset', data_root='{folder}',
    pipeline=[dict(type='LoadImage', color_type='grayscale'), dict(type='PackInputs')]))
{extra}""")
    return path


def test_a_corrupt_image_costs_one_image_and_is_named_at_the_end(
        tool, toy_config, image_folder, tmp_path):
    paths = image_folder(tmp_path / 'data', 40)
    paths[7].write_bytes(b'no image')
    config = image_training(toy_config, tmp_path / 'data', tmp_path / 'config.py')
    done = tool('train', config, '--work-dir', tmp_path / 'work', '--no-validate')
    assert done.code == 0, done.err
    assert (tmp_path / 'work/epoch_1.pth').is_file()
    named = [line for line in done.out.splitlines() if 'could not be read' in line]
    assert len(named) == 1 and '1 images' in named[0] and str(paths[7]) in named[0]
    assert 'Epoch(train) [1][5/5]' in done.out


@pytest.mark.parametrize('workers', [0, 1])
def test_a_corrupt_image_ends_the_run_if_asked_to(
        bad_input, toy_config, image_folder, tmp_path, tmp_path_factory, workers):
    paths = image_folder(tmp_path / 'data', 40)
    paths[7].write_bytes(b'no image')
    config = image_training(toy_config, tmp_path / 'data', tmp_path / 'config.py',
                              "on_unreadable = 'raise'")
    said = bad_input('train', config, '--no-validate', '--work-dir',
                     tmp_path_factory.mktemp('work'), '--cfg-options',
                     f'train_dataloader.num_workers={workers}')
    assert f"{paths[7]} can't be decoded" in said


def test_a_bad_checkpoint_to_start_from_is_one_line(bad_input, toy_config, bad_checkpoint):
    path, expected = bad_checkpoint
    assert expected in bad_input('train', toy_config, '--cfg-options', f'load_from={path}')


@pytest.mark.parametrize('wrong', ['no file', 'first half', 'one block', 'a function'])
def test_a_bad_checkpoint_to_resume_from_is_one_line(
        bad_input, toy_config, bad_checkpoints, wrong):
    path, expected = bad_checkpoints[wrong]
    assert expected in bad_input('train', toy_config, '--resume', path)


def test_weights_without_training_state_cannot_be_resumed_from(
        bad_input, toy_config, trained, weights_of, tmp_path):
    write_checkpoint(dict(state_dict=weights_of(trained)), tmp_path / 'weights.pth')
    said = bad_input('train', toy_config, '--resume', tmp_path / 'weights.pth')
    assert 'weights.pth' in said and 'load_from' in said


def test_a_checkpoint_without_its_optimizer_cannot_be_resumed_from(
        bad_input, toy_config, trained, tmp_path):
    """mmengine writes `best_*.pth` like this; resuming would silently give other weights."""
    checkpoint = read_checkpoint(trained)
    del checkpoint['optimizer'], checkpoint['param_schedulers']
    write_checkpoint(checkpoint, tmp_path / 'best_epoch_1.pth')
    assert 'best_epoch_1.pth' in bad_input('train', toy_config, '--resume',
                                           tmp_path / 'best_epoch_1.pth')


def test_resuming_in_a_folder_of_another_network_is_an_error(
        bad_input, toy_config, trained, tmp_path):
    (tmp_path / 'work').mkdir()
    shutil.copy(trained, tmp_path / 'work/epoch_1.pth')
    said = bad_input('train', toy_config, '--work-dir', tmp_path / 'work', '--resume',
                     '--cfg-options', 'model.backbone.arch=8/3-p1-k3')
    assert 'missing (backbone.stages.2.' in said


@pytest.mark.parametrize('name, expected', [
    ('convmixer-786-32_3rdparty_in1k', 'convmixer-768-32_3rdparty_in1k'),
    ('missing/config.py', 'missing/config.py is not there')])
def test_an_unknown_config_is_one_line(bad_input, name, expected):
    assert expected in bad_input('train', name)


def test_an_unknown_arch_is_one_line_that_names_the_nearest(bad_input, toy_config):
    said = bad_input('train', toy_config, '--cfg-options', 'model.backbone.arch=786/32')
    assert "'786/32'" in said and 'nearest: 768/32' in said


@pytest.mark.parametrize('missing', ['model', 'train_dataloader', 'optim_wrapper', 'train_cfg'])
def test_a_config_without_a_section_is_one_line(bad_input, toy_config, tmp_path, missing):
    (tmp_path / 'config.py').write_text(f"_base_ = ['{toy_config}']\n{missing} = None\n")
    assert f'has no {missing}' in bad_input('train', tmp_path / 'config.py')


@pytest.mark.parametrize('loader', ['train', 'val'])
def test_a_missing_dataset_folder_is_one_line(bad_input, toy_config, tmp_path, loader):
    (tmp_path / 'config.py').write_text(
        f"_base_ = ['{toy_config}']\n{loader}_dataloader = dict(dataset=dict(_delete_=True, "
        f"type='CustomDataset', data_root='{tmp_path}/nowhere', pipeline=[]))\n")
    assert f'{tmp_path}/nowhere' in bad_input('train', tmp_path / 'config.py')


@pytest.mark.parametrize('loader', ['train', 'val'])
def test_an_empty_dataset_folder_is_one_line(bad_input, toy_config, tmp_path, loader):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'config.py').write_text(
        f"_base_ = ['{toy_config}']\n{loader}_dataloader = dict(dataset=dict(_delete_=True, "
        f"type='CustomDataset', data_root='{tmp_path}/data', pipeline=[]))\n")
    assert f'{tmp_path}/data' in bad_input('train', tmp_path / 'config.py')


def test_a_folder_without_cifar_s_classes_is_one_line(
        bad_input, image_folder, repo, tmp_path):
    image_folder(tmp_path / 'data/train', 3)
    image_folder(tmp_path / 'data/test', 3)
    said = bad_input('train', repo / 'configs/convmixer/convmixer-128-4_cifar10.py',
                     '--cfg-options', f'train_dataloader.dataset.dataset.data_root={tmp_path}/data',
                     f'val_dataloader.dataset.dataset.data_root={tmp_path}/data')
    assert f'{tmp_path}/data/train' in said and 'airplane' in said


@pytest.mark.parametrize('work_dir', ['file', 'file/work', '/proc/no/work'])
def test_a_work_dir_that_cannot_be_written_is_one_line(
        bad_input, toy_config, tmp_path, work_dir):
    (tmp_path / 'file').write_text('in the way')
    assert work_dir in bad_input('train', toy_config, '--work-dir', work_dir)


def test_auto_scale_lr_without_a_base_batch_size_is_one_line(bad_input, toy_config):
    said = bad_input('train', toy_config, '--auto-scale-lr')
    assert 'auto_scale_lr.base_batch_size' in said


@pytest.mark.parametrize('setting', [
    'auto_scale_lr=None', 'auto_scale_lr.enable=False', 'auto_scale_lr.base_batch_size=0'])
def test_auto_scale_lr_with_an_incomplete_config_is_one_line(bad_input, toy_config, setting):
    said = bad_input('train', toy_config, '--auto-scale-lr', '--cfg-options', setting)
    assert 'auto_scale_lr.base_batch_size' in said


def test_auto_scale_lr_enabled_in_an_incomplete_config_is_one_line(bad_input, toy_config):
    said = bad_input('train', toy_config, '--cfg-options', 'auto_scale_lr.enable=True')
    assert 'auto_scale_lr.base_batch_size' in said


def test_amp_in_float16_on_a_cpu_is_one_line(bad_input, toy_config):
    said = bad_input('train', toy_config, '--amp', '--cfg-options',
                     'optim_wrapper.dtype=float16')
    assert 'float16' in said and 'bfloat16' in said


def test_as_a_process_an_unreachable_url_is_one_line_and_2(
        shell, toy_config, repo, tmp_path, free_port):
    done = shell([sys.executable, repo / 'tools/train.py', toy_config, '--cfg-options',
                  f'load_from=http://127.0.0.1:{free_port}/toy.pth'], cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith('error: ') and f'127.0.0.1:{free_port}' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_validation_set_of_other_classes_is_noticed(tool, toy_config, image_folder, tmp_path):
    """A folder whose classes are others, with labels that are numbered in the same way."""
    image_folder(tmp_path / 'val', 20)
    config = tmp_path / 'other_val.py'
    config.write_text(f"""_base_ = ['{toy_config}']
val_dataloader = dict(dataset=dict(
    _delete_=True, type='CustomDataset', data_root='{tmp_path}/val', pipeline=[
        dict(type='LoadImage', color_type='grayscale'), dict(type='PackInputs')]))
train_dataloader = dict(num_batch_per_epoch=2)
""")
    done = tool('train', config, '--work-dir', tmp_path / 'work')
    assert done.code == 0, done.err
    warning, = (line for line in done.out.splitlines() if 'not those of the training set' in line)
    assert 'label 0 is 0 in the training set and class0 in the validation set' in warning

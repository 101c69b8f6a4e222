"""--data DIR of the tools, end to end: train and test on a folder of images."""
import os
import shutil

import pytest
import torch
from mmengine.logging import MMLogger

from mmconvmixer import get_model, inference_model, zoo
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import CheckpointNotFound

DIGITS = 'convmixer-64-4_digits'


@pytest.fixture
def images(image_folder, tmp_path_factory):
    """Three classes of 20 gray images."""
    folder = tmp_path_factory.mktemp('images')
    image_folder(folder, 60, classes=3)
    return folder


@pytest.fixture
def digits_to_three(repo, images, tool, tmp_path):
    """Fine-tune the digits' network on the images."""
    config = repo / f'configs/convmixer/{DIGITS}.py'

    def call(*options, data=images):
        done = tool('train', config, '--data', data, '--work-dir', tmp_path / 'work', *options,
                    '--cfg-options', f'load_from={DIGITS}', 'train_cfg.max_epochs=1',
                    'train_cfg.val_interval=1', 'optim_wrapper.optimizer.lr=0.0001')
        assert done.code == 0, done.err
        return done
    return call


def test_a_run_logs_what_it_found_and_initializes_the_head(
        digits_to_three, images, tmp_path):
    done = digits_to_three()
    assert (f'{images}: 3 classes, 54 images to train on, 6 to validate on: there is no val '
            'folder, so a tenth of each class is held out') in done.out
    said = [line for line in done.out.splitlines() if 'The head is initialized for' in line]
    assert len(said) == 1 and 'for 3 classes' in said[0] and '(10 classes) is not loaded' in said[0]
    checkpoint = read_checkpoint(tmp_path / 'work/epoch_1.pth')
    assert checkpoint['meta']['dataset_meta']['classes'] == ('class0', 'class1', 'class2')
    assert checkpoint['state_dict']['head.fc.weight'].shape == (3, 64)
    before = get_model(DIGITS, pretrained=True).state_dict()
    name = 'backbone.stages.0.1.weight'
    assert torch.allclose(checkpoint['state_dict'][name], before[name], atol=1e-3)


def test_its_images_are_tested_and_named_with_the_config_beside_the_checkpoint(
        digits_to_three, tool, repo, images, tmp_path):
    digits_to_three()
    work = tmp_path / 'work'
    own = tool('test', work / f'{DIGITS}.py', work / 'epoch_1.pth', '--work-dir', tmp_path / 'a')
    given = tool('test', repo / f'configs/convmixer/{DIGITS}.py', work / 'epoch_1.pth', '--data',
                 images, '--work-dir', tmp_path / 'b')
    assert own.code == given.code == 0, own.err + given.err
    assert own.out.splitlines()[-1] == given.out.splitlines()[-1]
    assert 'accuracy/top1' in own.out.splitlines()[-1] and '[1/1]' in own.out
    answer = inference_model(str(work / f'{DIGITS}.py'), str(images / 'class1/000.png'),
                             pretrained=str(work / 'epoch_1.pth'), topk=3)
    assert {entry['pred_class'] for entry in answer['pred_topk']} == {'class0', 'class1', 'class2'}


def test_the_config_of_the_run_does_not_lead_to_the_weights_that_it_started_from(
        digits_to_three, tmp_path):
    digits_to_three()
    with pytest.raises(CheckpointNotFound, match='pretrained=PATH'):
        get_model(tmp_path / f'work/{DIGITS}.py', pretrained=True)


def test_weights_for_the_same_classes_and_resumed_weights_keep_their_head(
        digits_to_three, tool, repo, images, tmp_path):
    digits_to_three()
    work = tmp_path / 'work'
    common = ['train', repo / f'configs/convmixer/{DIGITS}.py', '--data', images,
              '--no-validate']
    more = tool(*common, '--work-dir', tmp_path / 'more', '--cfg-options',
                f'load_from={work}/epoch_1.pth', 'train_cfg.max_epochs=1')
    resumed = tool(*common, '--work-dir', work, '--resume', '--cfg-options',
                   'train_cfg.max_epochs=2', 'new_head=True')
    for done in (more, resumed):
        assert done.code == 0, done.err
        assert 'head is initialized' not in done.out
    assert 'Epoch(train) [2]' in resumed.out and 'Epoch(train) [1]' not in resumed.out


def test_without_data_another_head_is_an_error_unless_the_config_has_new_head(
        tool, toy_config, bad_checkpoints, tmp_path):
    path, said = bad_checkpoints['seven classes']
    options = ['train', toy_config, '--no-validate', '--work-dir', tmp_path, '--cfg-options',
               f'load_from={path}']
    strict, allowed = tool(*options), tool(*options, 'new_head=True')
    assert strict.code == 2 and said in strict.err
    assert allowed.code == 0 and '(7 classes) is not loaded' in allowed.out


@pytest.mark.parametrize('wrong', ['one block', 'three blocks', 'a function'])
def test_a_new_head_does_not_excuse_other_differences(
        bad_input, toy_config, bad_checkpoints, wrong):
    path, said = bad_checkpoints[wrong]
    assert said in bad_input('train', toy_config, '--cfg-options', f'load_from={path}',
                             'new_head=True')


def test_evaluating_another_head_is_an_error(
        bad_input, tmp_path_factory, repo, image_folder):
    folder = tmp_path_factory.mktemp('two')
    image_folder(folder, 40, classes=2)
    said = bad_input('test', repo / f'configs/convmixer/{DIGITS}.py', zoo.find(DIGITS).weights,
                     '--data', folder)
    assert 'has classes that are not trained: class0, class1' in said


@pytest.mark.parametrize('spoil, said', [
    (lambda folder: shutil.rmtree(folder), 'is not there'),
    (lambda folder: [shutil.rmtree(folder / f'class{n}') for n in range(3)], 'no folders in it'),
    (lambda folder: [shutil.rmtree(folder / f'class{n}') for n in (1, 2)], 'only one class'),
    (lambda folder: (folder / 'empty').mkdir(), 'without an image: empty')])
def test_a_folder_that_is_not_a_dataset_is_one_line(bad_input, toy_config, images, spoil, said):
    spoil(images)
    answer = bad_input('train', toy_config, '--data', images)
    assert said in answer and str(images) in answer


@pytest.mark.parametrize('freeze, said', [
    ('last-3', "'last-1' to 'last-2'"), ('some', "expected 'head', 'last-N'")])
def test_a_wrong_freeze_is_one_line(bad_input, toy_config, freeze, said):
    assert said in bad_input('train', toy_config, '--cfg-options', f'freeze={freeze}')


def test_flowers_without_folder_and_network_are_one_line(
        bad_input, repo, monkeypatch, free_port):
    import mmconvmixer.datasets.flowers as flowers
    monkeypatch.setattr(flowers, 'URL', f'http://127.0.0.1:{free_port}/flower_photos.tgz')
    said = bad_input('train', repo / 'configs/convmixer/convmixer-768-32_flowers.py',
                     '--cfg-options', 'load_from=None', 'model.backbone.arch=8/1-p7-k3',
                     'model.head.in_channels=8')
    assert 'data/flowers does not exist' in said and 'MMCONVMIXER_MIRROR' in said


def test_two_processes_freeze_layers_and_initialize_the_head(
        shell, repo, images, tmp_path, free_port, weights_of):
    done = shell(['tools/dist_train.sh', repo / f'configs/convmixer/{DIGITS}.py', '2', '--data',
                  images, '--work-dir', tmp_path / 'work', '--cfg-options',
                  f'load_from={DIGITS}', 'train_cfg.max_epochs=1', 'freeze=head'],
                 env={**shell.keywords['env'], 'PORT': str(free_port)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('3 classes, 54 images') == 1
    after, before = weights_of(tmp_path / 'work/epoch_1.pth'), get_model(
        DIGITS, pretrained=True).state_dict()
    assert all(torch.equal(value, before[key]) for key, value in after.items()
               if key.startswith('backbone.'))
    assert after['head.fc.weight'].shape == (3, 64) and after['head.fc.weight'].any()


def test_a_folder_may_hold_pipes_and_names_that_are_not_valid_utf8(digits_to_three, images):
    """A pipe would be waited for; a broken image has to be named in the log."""
    os.mkfifo(images / 'class0/pipe.png')
    with open(bytes(images) + b'/class1/na\xefve.png', 'wb') as file:
        file.write(b'broken')
    done = digits_to_three()
    assert '55 images to train on' in done.out
    assert 'left out as not an image: class0/pipe.png' in done.out
    assert f'1 images could not be read; other images replaced them: {images}/class1/na' in done.out
    assert 'Traceback' not in done.out + done.err


@pytest.mark.parametrize('load', ['LoadImage', 'LoadImageFromFile'])
def test_a_pipe_that_an_annotation_file_names_is_not_read(
        folder_config, evaluate, trained, images, tmp_path, capsys, load):
    os.mkfifo(images / 'class0/pipe.png')
    (images / 'list.txt').write_text('class0/000.png 0\nclass0/pipe.png 0\n')
    config = folder_config(images, **{'test_dataloader.dataset.ann_file': 'list.txt',
                                      'test_dataloader.dataset.classes': list('0123456789'),
                                      'test_dataloader.dataset.pipeline.0.type': load})
    MMLogger._instance_dict.clear()  # it holds an earlier stdout
    evaluate(trained, tmp_path / 'work', config=config)
    assert '1 images could not be read; the metrics leave them out' in capsys.readouterr().out

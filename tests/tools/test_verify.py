from pathlib import Path

import numpy as np
import pytest
import torch

from mmconvmixer import zoo
from mmconvmixer.apis import verification
from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint
from mmconvmixer.errors import BadCheckpoint


@pytest.fixture
def published(trained, tool, toy_config, tmp_path):
    tool('publish', trained, tmp_path / 'out', 'toy', '--dtype', 'float16', '--config',
         toy_config, experiment=False)
    path, = (tmp_path / 'out').glob('toy-*.pth')
    return path


@pytest.fixture
def verify(tool, toy_config):
    def call(path, config=toy_config, *options):
        return tool('verify', path, '--config', config, *options, experiment=False)
    return call


def test_a_published_file_reaches_its_metrics(published, verify):
    run = verify(published)
    assert run.code == 0, run.err
    assert 'accuracy/per_class/7' in run.out and 'calibration/ece' in run.out
    assert 'test data: the published images' in run.out
    assert run.out.splitlines()[-1].startswith('0 of 13 figures differ')


@pytest.mark.parametrize('name', [name for name in zoo.names() if name.endswith('_digits')])
def test_a_model_of_the_zoo_is_verified_by_name(name, tool):
    run = tool('verify', name, experiment=False)
    assert run.code == 0, run.out


MIXERS = {'mlp-mixer-base-p16_flax-sam_in1k': 'sam', 'mlp-mixer-base-p16_flax_in1k': 'imagenet1k'}


@pytest.mark.parametrize('name', MIXERS)
@pytest.mark.parametrize('given', ['name', 'file'])
def test_weights_are_held_to_their_own_models_figures(name, given, monkeypatch, tmp_path):
    """Three models' files are called Mixer-B_16.npz."""
    path = tmp_path / MIXERS[name] / 'Mixer-B_16.npz'
    path.parent.mkdir()
    np.savez(path, **{'stem/kernel': np.zeros(3, np.float32)})
    monkeypatch.setenv('MMCONVMIXER_MIRROR', str(tmp_path))
    measured = {}

    def measure(config, path, data):
        measured.update(config=config, path=path)
        return {'accuracy/top1': 70.}, dict(images=1, of='nothing')
    monkeypatch.setattr(verification, 'measure', measure)
    result = verification.verify(name if given == 'name' else path)
    top1 = zoo.find(name).results.data[0].metrics['Top 1 Accuracy']
    assert result.figures == {'accuracy/top1': (top1, 70.)}
    assert measured == dict(config=Path(zoo.find(name).config).resolve(), path=path)


def test_weights_without_published_figures_are_an_error(monkeypatch, tmp_path):
    """Not the figures of another model whose file has the same name."""
    path = tmp_path / 'imagenet21k/Mixer-B_16.npz'
    path.parent.mkdir()
    np.savez(path, **{'stem/kernel': np.zeros(3, np.float32)})
    monkeypatch.setenv('MMCONVMIXER_MIRROR', str(tmp_path))
    for checkpoint in ('mlp-mixer-base-p16_flax_in21k', path):
        with pytest.raises(BadCheckpoint, match='no figures are published'):
            verification.verify(checkpoint)


def test_weights_that_may_be_several_models_are_an_error(bad_input, tmp_path):
    np.savez(tmp_path / 'Mixer-B_16.npz', **{'stem/kernel': np.zeros(3, np.float32)})
    said = bad_input('verify', 'Mixer-B_16.npz', experiment=False)
    assert 'Give the name of the model' in said and all(name in said for name in MIXERS)


def test_a_metric_that_is_not_reached_is_named_and_the_code_is_1(published, verify, tmp_path):
    checkpoint = read_checkpoint(published)
    checkpoint['meta']['published']['metrics']['accuracy/top1'] += 0.02
    write_checkpoint(checkpoint, tmp_path / 'better.pth')
    run = verify(tmp_path / 'better.pth')
    assert run.code == 1
    line, = (line for line in run.out.splitlines() if line.endswith('differs'))
    assert line.startswith('accuracy/top1 ')


def test_other_weights_than_published_are_noticed(published, verify, tmp_path):
    checkpoint = read_checkpoint(published)
    checkpoint['state_dict']['head.fc.bias'][3] += 100
    write_checkpoint(checkpoint, tmp_path / 'changed.pth')
    assert verify(tmp_path / 'changed.pth').code == 1


def test_a_metric_that_the_config_does_not_measure_differs(published, verify, tmp_path):
    checkpoint = read_checkpoint(published)
    checkpoint['meta']['published']['metrics']['accuracy/top9'] = 99.
    write_checkpoint(checkpoint, tmp_path / 'top9.pth')
    run = verify(tmp_path / 'top9.pth')
    assert run.code == 1 and 'nan' in run.out


def test_other_images_than_the_published_are_noticed(
        published, verify, tmp_path, image_folder, folder_config):
    image_folder(tmp_path / 'other', 20)
    run = verify(published, folder_config(tmp_path / 'other'), '--data', tmp_path / 'other')
    assert run.code == 1
    assert 'NOT the images' in run.out
    assert f'the classes of the test set are not those of {published}' in run.out


def test_a_training_checkpoint_has_nothing_published(bad_input, trained):
    assert 'tools/publish.py' in bad_input('verify', trained, experiment=False)


@pytest.mark.parametrize('named', ['{folder}/own.py', '../own.py', 'own.py', 3, None])
def test_a_config_that_a_checkpoint_names_is_run_only_if_it_is_the_packages(
        bad_input, published, tmp_path, named):
    """Weights from a stranger may come with a config."""
    (tmp_path / 'own.py').write_text('import os; os.abort()')
    checkpoint = read_checkpoint(published)
    checkpoint['meta']['published']['config_file'] = (
        named.format(folder=tmp_path) if isinstance(named, str) else named)
    torch.save(checkpoint, tmp_path / 'strange.pth')
    said = bad_input('verify', tmp_path / 'strange.pth', experiment=False)
    assert "not one of this package's configs; give config (--config PATH)" in said


@pytest.mark.parametrize('said', ['text', dict(metrics=3), dict(metrics={})])
def test_invalid_published_metrics_are_one_line(bad_input, published, toy_config, tmp_path, said):
    checkpoint = read_checkpoint(published)
    checkpoint['meta']['published'] = said
    torch.save(checkpoint, tmp_path / 'strange.pth')
    bad_input('verify', tmp_path / 'strange.pth', '--config', toy_config, experiment=False)


def test_one_image_of_a_class_may_be_classified_differently(published, verify, tmp_path):
    checkpoint = read_checkpoint(published)
    per_class = checkpoint['meta']['published']['metrics']['accuracy/per_class']
    per_class['7'] += 100 / 60
    write_checkpoint(checkpoint, tmp_path / 'near.pth')
    assert verify(tmp_path / 'near.pth').code == 0
    per_class['7'] += 100 / 60
    write_checkpoint(checkpoint, tmp_path / 'far.pth')
    assert verify(tmp_path / 'far.pth').code == 1

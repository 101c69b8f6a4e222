import re

import numpy as np
import pytest
from PIL import Image

from mmconvmixer.cli.visualize import SUBJECTS

NAME = 'convmixer-64-4_digits'


@pytest.fixture
def drawn(tool, tmp_path, monkeypatch):
    """Draw a subject as PNG and SVG; return the title that the tool prints."""
    monkeypatch.chdir(tmp_path)

    def draw(subject, *argv):
        done = tool('visualize', subject, *argv, '--out', 'a.png', '--out', 'a.svg',
                    experiment=False)
        assert done.code == 0, done.err
        image = np.asarray(Image.open('a.png').convert('L'))
        assert image.std() > 5  # it is not blank
        assert '<svg' in (tmp_path / 'a.svg').read_text()
        said = done.out.splitlines()[-1]
        assert said.startswith('wrote a.png, a.svg: ')
        return said.removeprefix('wrote a.png, a.svg: ')
    return draw


@pytest.fixture
def photo(tmp_path):
    """An image that looks like a seven."""
    path = tmp_path / 'photo.png'
    pixels = np.zeros((8, 8), np.uint8)
    pixels[1, 2:7] = pixels[2:7, 5] = 255
    Image.fromarray(pixels).save(path)
    return path


def test_its_subjects(tools):
    text = tools('visualize').format_help()
    assert all(re.search(rf'^    {subject}\s', text, re.MULTILINE) for subject in SUBJECTS)


def test_filters_and_kernels(drawn):
    assert drawn('filters', NAME) == f'{NAME}: 64 filters of 1 x 1, the strongest first'
    assert drawn('kernels', NAME) == (
        f'{NAME}: 64 kernels of 3 x 3 in each block, the strongest first')


def test_cam(drawn, photo):
    assert drawn('cam', NAME, photo, '--class', '7') == f'{NAME}: where it looked'


def test_features(drawn, photo):
    assert drawn('features', NAME, photo).startswith(f'{NAME}: features by their principal')


def test_receptive_field(drawn, photo):
    assert drawn('receptive-field', NAME, photo) == (
        f'{NAME}: what the middle of a feature map depends on')


def test_tsne(drawn):
    assert drawn('tsne', NAME, '--images', '30').startswith(
        f'{NAME}: features of 30 test images by t-SNE; crosses are the ')


def test_augment(drawn, photo):
    assert drawn('augment', NAME, photo, '--rows', '2') == f'{NAME}: what training does to images'


def test_a_run_is_a_model_too_and_a_file_is_named_for_its_subject(tool, trained, tmp_path,
                                                                 monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model in (trained.parent, trained):
        done = tool('visualize', 'kernels', model, experiment=False)
        assert done.code == 0, done.err
        assert '8 kernels of 3 x 3' in done.out
    assert (tmp_path / 'kernels.png').is_file()


@pytest.fixture(scope='module')
def predictions(evaluate, trained, tmp_path_factory):
    """Predictions of the toy network for the digits, and how many are right."""
    folder = tmp_path_factory.mktemp('predictions')
    out = folder / 'toy.json'
    return out, evaluate(trained, folder / 'logs', out=str(out))['accuracy/top1']


def test_confusion_and_predictions_of_a_file(drawn, predictions):
    file, accuracy = predictions
    assert drawn('confusion', file) == f'toy: {accuracy:.2f}% of 599 images are right'
    wrong = round(599 * (100 - accuracy) / 100)
    assert drawn('predictions', file, '--count', '5', '--config', NAME) == (
        f'toy: {wrong} of 599 images are wrong; the worst 5')


def test_compare_predictions_with_a_model(drawn, predictions):
    file, accuracy = predictions
    assert drawn('compare', file, NAME, '--config', NAME, '--count', '2').startswith(
        f'toy {accuracy:.2f} %, {NAME} 99.00 % of 599 images: ')


def test_confusion_and_predictions_of_a_run_which_is_tested_first(drawn, predictions, trained,
                                                                 tmp_path):
    _, accuracy = predictions
    name = trained.parent.name
    assert drawn('confusion', trained.parent) == f'{name}: {accuracy:.2f}% of 599 images are right'
    assert drawn('predictions', trained).startswith('epoch_1: ')
    assert not list(tmp_path.glob('work_dirs'))


@pytest.mark.parametrize('arguments, said', [
    (['tsne', NAME, '--images', '0'], '(--images) is 0, expected 2 or more'),
    (['tsne', NAME, '--data', 'nowhere'], 'nowhere, which is not there'),
    (['augment', NAME, 'nothing.png'], 'nothing.png'),
    (['augment', 'nothing.py', 'nothing.png'], 'config nothing.py is not there'),
    (['confusion', 'nothing.json'], 'nothing.json cannot be read'),
    (['confusion', 'nothing'], 'nothing is neither a file nor a model'),
    (['compare', 'nothing.json', 'nothing.json'], 'nothing.json cannot be read'),
    (['predictions', 'nothing.pkl'], 'nothing.pkl is a pickle'),
    (['filters', 'convmixer-64-4_digit'], 'nearest: convmixer-64-4_digits'),
    (['filters', NAME, '--out', 'x.bmp'], 'x.bmp: figures are drawn as .png or .svg'),
    (['filters', NAME, '--out', '/proc/x.png'], '/proc/x.png cannot be written'),
    (['kernels', '.'], '. is a folder without the config of a run'),
    (['cam', NAME, 'nothing.png'], 'nothing.png'),
    (['cam', NAME, 'nothing.png', '--method', 'magic'], "method is 'magic', expected one of cam"),
    (['cam', NAME, 'nothing.png', '--class', 'ten'], 'there is no class ten'),
])
def test_a_wrong_input_is_one_line(bad_input, arguments, said):
    assert said in bad_input('visualize', *arguments, experiment=False)

import os

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mmconvmixer import Predictor
from mmconvmixer.cli.main import main

NAME = 'convmixer-64-4_digits'


@pytest.fixture
def images(tmp_path):
    """A folder with an image of a 0, a 1 and a 2."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for digit, image in enumerate(load_digits().images[:3]):
        Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8)).save(folder / f'{digit}.png')
    return folder


def test_it_prints_the_best_classes_of_each_image(images, capsys):
    assert main(['predict', NAME, str(images / '2.png'), str(images), '--topk', '2',
                 '--device', 'cpu']) == 0
    lines = capsys.readouterr().out.splitlines()
    paths = [images / f'{digit}.png' for digit in (2, 0, 1, 2)]
    answers = Predictor(NAME)(paths, topk=2)
    assert [best['pred_class'] for best in answers] == ['2', '0', '1', '2']
    assert lines == [
        f'{path}: ' + ', '.join(f'{best["pred_class"]} {best["pred_score"]:.4f}'
                                for best in answer['pred_topk'])
        for path, answer in zip(paths, answers, strict=True)]


def test_by_another_backend_the_answer_is_the_same(images, capsys):
    assert main(['predict', NAME, str(images / '1.png')]) == 0
    plain = capsys.readouterr().out
    assert main(['predict', NAME, str(images / '1.png'), '--backend', 'torch']) == 0
    assert capsys.readouterr().out == plain


def test_a_bad_image_is_one_line_and_2_and_the_others_are_classified(images, capsys):
    (images / '1.png').write_bytes(b'damaged')
    assert main(['predict', NAME, str(images)]) == 2
    done = capsys.readouterr()
    assert [line.split(': ')[0] for line in done.out.splitlines()] == [
        f'{images}/0.png', f'{images}/2.png']
    assert [line.startswith('error: ') and '1.png' in line for line in done.err.splitlines()
            if 'error' in line] == [True]


@pytest.mark.parametrize(('argv', 'said'), [
    (['convmixer-64-4_digit', 'x.png'], 'nearest: convmixer-64-4_digits'),
    ([NAME, 'x.png', '--topk', '0'], '--topk is 0, expected 1 or more'),
    ([NAME, 'x.png', '--backend', 'tensorrt'], 'tensorrt'),
    ([NAME, 'x.png'], 'x.png'),
    ([NAME, '.'], '. '),
])
def test_what_is_wrong_is_one_line(argv, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['predict', *argv]) == 2
    error, = (line for line in capsys.readouterr().err.splitlines() if 'error' in line)
    assert said in error


def test_a_name_that_is_not_valid_utf8_is_printed_with_its_bytes_escaped(images, capsys):
    name = os.fsdecode(bytes(images) + b'/na\xefve.png')
    (images / '1.png').rename(name)
    assert main(['predict', NAME, name]) == 0
    assert capsys.readouterr().out.startswith(f'{images}/na\\udcefve.png: 1 ')


@pytest.mark.parametrize('options, said', [
    ([], 'set allow_private_urls (--allow-private-urls)'),
    (['--allow-private-urls'], "can't be fetched: [Errno")])
def test_a_url_of_this_machine_is_asked_only_if_that_is_allowed(options, said, capsys):
    assert main(['predict', NAME, 'http://127.0.0.1:1/x.png', *options]) == 2
    assert said in capsys.readouterr().err


def test_a_path_that_is_too_long_is_one_short_line(capsys):
    assert main(['predict', NAME, 'x' * 5000 + '.png']) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert len(error) == 1 and 'does not exist' in error[0] and len(error[0]) < 400

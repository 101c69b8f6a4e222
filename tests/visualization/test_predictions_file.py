import json
import sys

import numpy as np
import pytest

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.predictions_file import read_predictions

ROW = dict(img_path='a.png', pred_label=1, pred_score=0.75, pred_scores=[0.25, 0.75, 0.],
           pred_class='dog', gt_label=0)


@pytest.fixture
def written(tmp_path):
    """Write a value to a JSON file, and return its path."""
    def write(value, name='mine.json'):
        (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value))
        return tmp_path / name
    return write


def test_what_the_test_tool_writes_is_read(evaluate, trained, tmp_path):
    metrics = evaluate(trained, tmp_path / 'logs', out=str(tmp_path / 'mine.json'))
    found = read_predictions(tmp_path / 'mine.json')
    assert found.name == 'mine' and found.classes == list('0123456789')
    assert found.scores.shape == (599, 10)
    assert 100 * found.right.mean() == pytest.approx(metrics['accuracy/top1'])
    np.testing.assert_array_equal(found.predicted, found.scores.argmax(axis=1))
    assert found.paths[0] == 'digits/1198.png'


def test_a_class_that_was_never_predicted_is_called_by_its_number(written):
    found = read_predictions(written([ROW, {**ROW, 'gt_label': 2}]))
    assert found.classes == ['0', 'dog', '2']
    np.testing.assert_array_equal(found.true_scores, [0.25, 0])


def test_two_classes_of_one_name_are_told_apart(written):
    rows = [{**ROW, 'pred_label': label, 'pred_class': 'crane'} for label in (0, 2)]
    assert read_predictions(written(rows)).classes == ['crane (0)', '1', 'crane (2)']


def test_without_scores_and_names_labels_are_enough_until_scores_are_needed(written):
    found = read_predictions(written([dict(gt_label=0, pred_label=3)]))
    assert found.classes == ['0', '1', '2', '3'] and found.paths == [None]
    with pytest.raises(BadConfig, match='mine has no scores of the classes'):
        found.true_scores  # noqa: B018


@pytest.mark.parametrize('value, said', [
    ('[', 'is not JSON'), ({}, 'expected a list with an entry'), ([], 'expected a list'),
    ([1], 'expected gt_label and pred_label'),
    ([dict(pred_label=1)], 'gt_label and pred_label, one number each'),
    ([{**ROW, 'gt_label': [0, 1]}], 'one number each'),
    ([{**ROW, 'gt_label': -1}], 'one number each'),
    ([{**ROW, 'gt_label': 0.5}], 'one number each'),
    ([{**ROW, 'gt_label': 3}], 'pred_scores of the same length'),
    ([ROW, {**ROW, 'pred_scores': [1.]}], 'pred_scores of the same length'),
    ([ROW, {}], 'pred_scores of the same length'),
    ('[' * sys.getrecursionlimit() * 2, 'is not JSON')])
def test_a_file_of_something_else_is_named(written, value, said):
    with pytest.raises(BadConfig, match=f'mine.json .*{said}'):
        read_predictions(written(value))


def test_a_missing_file_and_a_pickle_are_named(tmp_path):
    with pytest.raises(BadConfig, match='mine.json cannot be read: No such file'):
        read_predictions(tmp_path / 'mine.json')
    with pytest.raises(BadConfig, match='mine.pkl is a pickle, which can run code'):
        read_predictions(tmp_path / 'mine.pkl')

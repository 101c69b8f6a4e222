"""Answers are plain enough for `json.dumps` and web frameworks."""
import json
import pickle

import numpy as np
import pytest

from mmconvmixer import Predictor
from mmconvmixer.apis.answer import Answer


def test_an_answer_becomes_json_and_comes_back():
    image = np.zeros((8, 8), np.uint8)
    answer = Predictor('convmixer-64-4_digits')(image, topk=3)
    assert isinstance(answer, Answer)
    again = json.loads(json.dumps(answer))
    assert again == answer
    assert sum(again['pred_scores']) == pytest.approx(1, abs=1e-6)
    assert [type(value) for value in answer['pred_topk'][2].values()] == [int, float, str]
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_a_failed_answer_is_one_too(tmp_path):
    (tmp_path / 'cut.png').write_bytes(b'\x89PNG')
    answer, = Predictor('convmixer-64-4_digits')([tmp_path / 'cut.png'])
    assert set(json.loads(json.dumps(answer))) == {'img_path', 'error'}


def test_the_repr_is_short():
    scores = [0.125] * 1000
    answer = Answer(pred_label=3, pred_class='tench', pred_scores=scores)
    assert repr(answer) == ("{'pred_label': 3, 'pred_class': 'tench', 'pred_scores': "
                            '[0.125, 0.125, 0.125, 0.125, 0.125, ...]}')

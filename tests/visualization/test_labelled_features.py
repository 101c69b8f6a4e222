import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.errors import BadConfig, BadImage, UnknownOption
from mmconvmixer.visualization.labelled_features import labelled_features


def test_they_are_the_features_and_predictions_of_the_test_set(digits):
    found = labelled_features(digits, 599)
    assert found.features.shape == (599, 64) and found.classes == list('0123456789')
    assert 100 * (found.labels == found.predicted).mean() == pytest.approx(99.0, abs=0.01)
    logits = torch.from_numpy(found.features) @ digits.head.fc.weight.T + digits.head.fc.bias
    np.testing.assert_array_equal(logits.argmax(1), found.predicted)


def test_some_are_drawn_at_random_and_the_same_in_each_call(digits):
    one, other = labelled_features(digits, 40), labelled_features(digits, 40)
    np.testing.assert_array_equal(one.features, other.features)
    assert len(set(one.labels.tolist())) > 5


def test_a_folder_replaces_the_test_set(digits, image_folder, tmp_path):
    for path in image_folder(tmp_path / 'made', 20):
        folder = tmp_path / 'data/test' / path.parent.name.removeprefix('class')
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)
    found = labelled_features(digits, 100, str(tmp_path / 'data'))
    np.testing.assert_array_equal(np.bincount(found.labels), [2] * 10)


def test_what_has_no_features_of_a_test_set_is_named(digits, image_folder, folder_config, tmp_path):
    with pytest.raises(UnknownOption, match=r'\(--images\) is 1, expected 2 or more'):
        labelled_features(digits, 1)
    with pytest.raises(BadConfig, match='with pooling and a head'):
        labelled_features(get_model('convmixer-64-4_digits', head=None), 5)
    path, *_ = image_folder(tmp_path, 10)
    path.write_bytes(b'damaged')
    with pytest.raises(BadImage, match="000.png can't be decoded"):
        labelled_features(get_model(folder_config(tmp_path)), 10)

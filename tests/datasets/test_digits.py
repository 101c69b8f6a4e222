import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from sklearn.datasets import load_digits

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import Digits


def digit_images(split):
    return np.stack([sample['img'] for sample in Digits(split)])


def test_two_thirds_are_for_training_and_the_last_third_for_testing():
    train, test = Digits('train'), Digits('test')
    assert (len(train), len(test)) == (1198, 599)
    labels = [sample['gt_label'] for part in (train, test) for sample in part]
    assert labels == load_digits().target.tolist()
    assert len({sample['img_path'] for part in (train, test) for sample in part}) == 1797


def test_images_are_scikit_learns_in_256_levels():
    images = np.concatenate([digit_images('train'), digit_images('test')])
    assert images.dtype == np.uint8 and images.shape == (1797, 8, 8)
    assert images.min() == 0 and images.max() == 255
    np.testing.assert_allclose(images / 255, load_digits().images / 16, atol=0.5 / 255)


def test_classes_are_the_ten_digits():
    assert ''.join(Digits('test').CLASSES) == '0123456789'


@pytest.mark.parametrize('split', ['val', '', 'Train', None])
def test_another_split_is_a_value_error(split):
    with pytest.raises(ValueError, match="'train' or 'test'"):
        Digits(split)


def test_samples_go_through_the_pipeline():
    dataset = DATASETS.build(dict(type='Digits', split='test', pipeline=[
        dict(type='LoadImage'), dict(type='PackInputs')]))
    sample = dataset[7]
    assert sample['inputs'].shape == (3, 8, 8)
    plain = Digits('test')[7]
    np.testing.assert_array_equal(sample['inputs'][0], plain['img'])
    assert sample['data_samples'].gt_label.item() == plain['gt_label']

import mmpretrain.models
import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmconvmixer.datasets import ClsDataPreprocessor

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True,
            num_classes=10)


def images(*shape, dtype=torch.uint8):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def both(data, training=False, **options):
    """Return the results of mmpretrain's class and of this project's for the same data."""
    results = []
    for cls in (mmpretrain.models.ClsDataPreprocessor, ClsDataPreprocessor):
        torch.manual_seed(0)
        np.random.seed(0)
        samples = [DataSample().set_gt_label(label) for label in range(len(data))]
        results.append(cls(**options)(dict(inputs=data, data_samples=samples), training))
    return results


@pytest.mark.parametrize('options', [
    NORM, dict(NORM, to_rgb=False), dict(NORM, pad_size_divisor=16, pad_value=3),
    dict(NORM, to_onehot=True), {}, dict(NORM, mean=[1, 2, 3], std=[4, 5, 6])])
@pytest.mark.parametrize('data', [
    images(3, 3, 21, 17), images(3, 1, 21, 17), images(3, 3, 21, 17, dtype=torch.float32),
    images(0, 3, 21, 17), list(images(3, 3, 21, 17))],
    ids=['uint8', 'gray', 'float', 'none', 'list'])
@pytest.mark.parametrize('training', [False, True])
def test_the_results_equal_mmpretrains(data, options, training):
    if not len(data):
        options = dict(options, to_onehot=False)
        expected, made = (cls(**options)(dict(inputs=data), training)
                          for cls in (mmpretrain.models.ClsDataPreprocessor, ClsDataPreprocessor))
    else:
        expected, made = both(data, training, **options)
        for one, other in zip(made['data_samples'], expected['data_samples'], strict=True):
            assert one.gt_label.equal(other.gt_label)
            assert ('gt_score' in one) == ('gt_score' in other)
            assert 'gt_score' not in one or one.gt_score.equal(other.gt_score)
    assert made['inputs'].dtype == expected['inputs'].dtype
    assert made['inputs'].equal(expected['inputs'])


def test_mixing_equals_mmpretrains():
    expected, made = both(images(4, 3, 8, 8), training=True, **NORM,
                          batch_augments=dict(augments=dict(type='Mixup', alpha=1.)))
    assert made['inputs'].equal(expected['inputs'])


def test_gray_images():
    expected, made = both(images(2, 1, 5, 6), mean=[100.5], std=[50.])
    assert made['inputs'].equal(expected['inputs'])


def test_the_input_is_not_changed_and_later_statistics_are_used():
    data = images(2, 3, 5, 6)
    kept = data.clone()
    preprocessor = ClsDataPreprocessor(**NORM)
    preprocessor.mean = torch.zeros(3, 1, 1)  # as for the normalization that a checkpoint brings
    preprocessor.std = torch.full((3, 1, 1), 2.)
    preprocessor.to_rgb = False
    assert preprocessor(dict(inputs=data))['inputs'].equal(data / 2)
    assert data.equal(kept)


def test_double_precision_stays_double():
    data = images(2, 3, 5, 6)
    expected, made = (cls(**NORM).double()(dict(inputs=data))['inputs'] for cls in (
        mmpretrain.models.ClsDataPreprocessor, ClsDataPreprocessor))
    assert made.dtype == expected.dtype == torch.float64
    assert made.equal(expected)


def test_models_use_it_and_it_adds_no_weights():
    model = MODELS.build(dict(type='mmpretrain.ImageClassifier', data_preprocessor=NORM,
                              backbone=dict(type='mmpretrain.LeNet5', num_classes=10)))
    assert type(model.data_preprocessor) is ClsDataPreprocessor
    assert not any(name.startswith('data_preprocessor') for name in model.state_dict())

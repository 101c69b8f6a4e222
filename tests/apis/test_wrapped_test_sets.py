"""A test set of several parts, repeated, folded or in memory, is used like a plain one."""
import numpy as np
import pytest

from mmconvmixer import Predictor
from mmconvmixer.zoo.config import load_config

NAME = 'convmixer-64-4_digits'


@pytest.fixture(params=['ConcatDataset', 'RepeatDataset', 'KFoldDataset', 'InMemory'])
def config(request, repo, tmp_path):
    inner = load_config(NAME).test_dataloader.dataset.to_dict()
    keys = dict(ConcatDataset=dict(datasets=[inner, inner]),
                RepeatDataset=dict(dataset=inner, times=2),
                KFoldDataset=dict(dataset=inner, fold=0, num_splits=3, test_mode=True),
                InMemory=dict(dataset=inner))[request.param]
    wrapped = dict(_delete_=True, type=request.param, **keys)
    path = tmp_path / 'wrapped.py'
    path.write_text(f"_base_ = ['{repo}/configs/convmixer/{NAME}.py']\n"
                    f'test_dataloader = dict(dataset={wrapped!r})\n')
    return path


def test_it_is_evaluated_with_augmentation(evaluate, config, tmp_path):
    assert evaluate(NAME, tmp_path, config=config, tta=True)['accuracy/top1'] > 95


def test_its_pipeline_prepares_images_to_predict_and_to_export(config):
    from mmconvmixer.deploy.preprocessing import preprocessing_of
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    ask, plain = Predictor(str(config), pretrained=NAME), Predictor(NAME)
    np.testing.assert_array_equal(ask(image)['pred_scores'], plain(image)['pred_scores'])
    assert preprocessing_of(ask.model) == preprocessing_of(plain.model)

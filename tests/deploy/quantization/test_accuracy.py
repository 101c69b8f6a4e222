"""Top-1 accuracy of a function from images to logits."""
import numpy as np
import pytest
import torch
from mmpretrain.models.heads import MultiLabelClsHead

from mmconvmixer.apis.evaluation import evaluate
from mmconvmixer.deploy.quantization.accuracy import TestSet, top1
from mmconvmixer.errors import BadConfig, DatasetNotFound


def logits_of(model):
    def run(images):
        with torch.no_grad():
            return model(torch.from_numpy(images)).numpy()
    return run


def test_it_equals_what_the_test_tool_measures(digits, tmp_path):
    expected = evaluate('convmixer-64-4_digits', work_dir=str(tmp_path))['accuracy/top1']
    found = top1(dict(model=logits_of(digits), always_3=lambda images: np.tile(
        np.arange(10) == 3, (len(images), 1))), TestSet(digits))
    assert found['model'] == pytest.approx(expected, abs=1e-4)
    assert 5 < found['always_3'] < 15


def test_the_size_of_the_batches_makes_no_difference(digits):
    runs = dict(model=logits_of(digits))
    assert top1(runs, TestSet(digits, batch_size=7)) == top1(runs, TestSet(digits))
    assert len(list(TestSet(digits, batch_size=7))) == len(TestSet(digits, batch_size=7)) == 86


def test_corrupt_images_are_left_out(folder_config, image_folder, tmp_path):
    from mmconvmixer import get_model
    paths = image_folder(tmp_path, 12)
    paths[3].write_bytes(b'')
    model = get_model(folder_config(tmp_path))
    images = np.concatenate([images for images, _ in TestSet(model, batch_size=4)])
    assert len(images) == 11 and len(np.unique(images, axis=0)) == 11


def test_another_data_folder_can_be_given(folder_config, image_folder, tmp_path):
    from mmconvmixer import get_model
    image_folder(tmp_path / 'here', 12)
    model = get_model(folder_config(tmp_path / 'missing'))
    with pytest.raises(DatasetNotFound, match='missing'):
        TestSet(model)
    assert sum(len(labels) for _, labels in TestSet(model, str(tmp_path / 'here'))) == 12


def test_several_labels_per_image_and_other_classes_have_no_top_1(digits):
    digits._dataset_meta = dict(classes=[f'kind{label}' for label in range(10)])
    with pytest.raises(BadConfig, match='label 0 is kind0 in the checkpoint and 0 in the test set'):
        TestSet(digits)
    digits.head = MultiLabelClsHead(thr=0.5)
    with pytest.raises(BadConfig, match='no sense for several labels per image'):
        TestSet(digits)

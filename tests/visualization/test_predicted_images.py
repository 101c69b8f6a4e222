import numpy as np
import pytest
from mmengine import Config
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from PIL import Image

from mmconvmixer.errors import BadConfig, BadImage
from mmconvmixer.visualization.predicted_images import PredictedImages


@pytest.fixture(scope='module')
def digits_set():
    from sklearn.datasets import load_digits
    return load_digits()


def test_a_file_is_read_in_rgb_and_made_smaller(predicted, tmp_path):
    path = tmp_path / 'wide.png'
    Image.new('RGB', (1024, 4), (255, 0, 7)).save(path)
    image = PredictedImages(predicted([0], [1], paths=[str(path)]))[0]
    np.testing.assert_array_equal(image, np.full((2, 512, 3), [255, 0, 7]))


def test_an_image_in_memory_is_found_by_its_made_up_path(predicted, digits_set):
    images = PredictedImages(predicted([0], [1], paths=['digits/1300.png']),
                             'convmixer-64-4_digits')
    expected = np.rint(digits_set.images[1300] * (255 / 16))
    np.testing.assert_array_equal(images[0], np.repeat(expected[..., None], 3, axis=2))


class Colors(BaseDataset):
    """One image (1, 1, 3) in memory, without a path."""

    def load_data_list(self):
        return [dict(img=np.array([[[1, 2, 3]]], np.uint8), gt_label=0)]


@pytest.mark.parametrize('to_rgb, expected', [(True, [3, 2, 1]), (False, [1, 2, 3])])
def test_colors_in_memory_are_in_the_order_that_the_config_names(predicted, tmp_path, to_rgb,
                                                                 expected):
    config = Config(dict(
        model=dict(type='ImageClassifier'), data_preprocessor=dict(to_rgb=to_rgb),
        test_dataloader=dict(dataset=dict(type='Colors', ann_file=''))))
    config.dump(tmp_path / 'colors.py')
    with DATASETS.switch_scope_and_registry('mmpretrain') as registry:
        registry.register_module(module=Colors, force=True)
    image = PredictedImages(predicted([0], [0]), tmp_path / 'colors.py')[0]
    np.testing.assert_array_equal(image, [[expected]])


def test_without_paths_images_are_found_by_their_number(predicted, digits_set, tmp_path):
    labels = digits_set.target[1198:]
    images = PredictedImages(predicted(labels, labels), 'convmixer-64-4_digits')
    np.testing.assert_array_equal(images[7][..., 0], np.rint(digits_set.images[1205] * (255 / 16)))
    with pytest.raises(BadConfig, match=r'the 2 predictions in mine are not for the 599 images'):
        PredictedImages(predicted([0, 1], [1, 1]), 'convmixer-64-4_digits')[0]


def test_an_image_that_is_not_there_is_named(predicted, tmp_path):
    one = predicted([0], [1], paths=['gone/a.png'])
    with pytest.raises(BadImage, match=r'image gone/a.png .* or give the config .*\(--config\)'):
        PredictedImages(one)[0]
    with pytest.raises(BadImage, match='neither there nor in the memory of the test set of convm'):
        PredictedImages(one, 'convmixer-64-4_digits')[0]
    with pytest.raises(BadImage, match='image 0 of the predictions is not there'):
        PredictedImages(predicted([0], [1]))[0]
    (tmp_path / 'text.png').write_text('hello')
    with pytest.raises(BadImage, match="text.png can't be decoded"):
        PredictedImages(predicted([0], [1], paths=[str(tmp_path / 'text.png')]))[0]

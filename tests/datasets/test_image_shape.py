"""A network for images of another shape than the data set's is one line, before a run begins."""
from argparse import Namespace

import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.registry import FUNCTIONS
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS

from mmconvmixer.datasets.image_shape import check_image_shape
from mmconvmixer.errors import BadConfig


def images(*shape):
    """A data set whose first image is damaged."""
    class Images(list):
        def __getitem__(self, index):
            if index == 0:
                raise OSError('damaged')
            return super().__getitem__(index)
    return Images([None, dict(inputs=torch.zeros(shape, dtype=torch.uint8))])


def network(means=0, stds=None, **backbone):
    statistics = dict(mean=[1.] * means, std=[1.] * (stds or means)) if means else {}
    return ImageClassifier(
        dict(dict(type='ConvMixer', arch='8/2-p2-k3'), **backbone),
        data_preprocessor=dict(statistics, type='ClsDataPreprocessor'))


@FUNCTIONS.register_module(force=True)
def three_channels(samples):
    batch = default_collate(samples)
    return dict(batch, inputs=batch['inputs'].repeat(1, 3, 1, 1))


MIXER = dict(type='MlpMixer', img_size=(32, 64), arch=dict(
    embed_dims=8, num_layers=1, tokens_mlp_dims=4, channels_mlp_dims=8))


@pytest.mark.parametrize(('model', 'shape', 'said'), [
    (dict(in_channels=4), (3, 8, 8), "have 3 channels, but the network takes 4; set "
     "model.backbone.in_channels=3, or load images of 4 channels (color_type='unchanged'"),
    (dict(), (4, 8, 8), "takes 3; set model.backbone.in_channels=4, or load images of 3 channels "
     "(color_type='color'"),
    (dict(), (1, 8, 8), "have 1 channel, but the network takes 3"),
    (dict(means=4, in_channels=4), (3, 8, 8), 'data_preprocessor.mean has 4 values'),
    (dict(means=3), (4, 8, 8), 'data_preprocessor.mean has 3 values'),
    (dict(means=3, stds=4), (3, 8, 8), 'data_preprocessor.std has 4 values'),
    (dict(means=1, stds=2), (3, 8, 8), 'data_preprocessor.std has 2 values'),
    (dict(means=2, stds=3, in_channels=3), (1, 8, 8), 'data_preprocessor.mean has 2 values'),
    (dict(means=3, in_channels=1), (1, 8, 8), 'give one mean and one std'),
    (MIXER, (3, 32, 32), 'are 32 x 32 after their pipeline, but the network takes 32 x 64')])
def test_images_of_another_shape_are_refused_with_what_to_set(model, shape, said):
    with pytest.raises(BadConfig) as caught:
        check_image_shape(network(**model), images(*shape), 'test_dataloader')
    assert str(caught.value).startswith('the images of test_dataloader ')
    assert said in str(caught.value)


@pytest.mark.parametrize(('model', 'shape'), [
    (dict(), (3, 8, 8)), (dict(means=1), (3, 8, 8)), (dict(means=3, stds=1), (3, 8, 8)),
    (dict(means=3), (1, 8, 8)),
    (dict(means=4, in_channels=4), (4, 8, 8)), (MIXER, (3, 32, 64))])
def test_images_of_the_network_s_shape_pass(model, shape):
    check_image_shape(network(**model), images(*shape), 'test_dataloader')


@pytest.mark.parametrize('preprocessor', [
    dict(type='BatchPreprocessor'), dict(type='ClsDataPreprocessor', pad_size_divisor=64)])
def test_a_preprocessor_may_change_the_size(preprocessor):
    model = network(**MIXER)
    model.data_preprocessor = MODELS.build(preprocessor)
    check_image_shape(model, images(3, 32, 32), 'train_dataloader')


@pytest.mark.parametrize('part', ['model', 'backbone', 'preprocessor', 'augment', 'derived'])
def test_classes_of_the_user_s_may_change_images_themselves(part):
    model = network(**dict(MIXER, img_size=(16, 16)) if part == 'augment' else dict(in_channels=4))
    if part == 'model':
        model.__class__ = type('Own', (ImageClassifier,), {})
    elif part == 'backbone':
        model.backbone.__class__ = type('Own', (type(model.backbone),), {'__module__': 'own'})
    elif part == 'augment':
        model.data_preprocessor.batch_augments = Namespace(augments=[object()])
    else:
        kind = type(model.data_preprocessor)
        model.data_preprocessor.__class__ = type(kind.__name__ if part == 'derived' else 'Own',
                                                 (kind,), {})
    check_image_shape(model, images(3, 8, 8), 'train_dataloader')


def test_a_collate_function_of_the_user_s_may_change_images_itself(evaluate, trained, tmp_path):
    change = {'model.backbone.in_channels': 3}
    with pytest.raises(BadConfig, match='test_dataloader have 1 channel'):
        evaluate(trained, tmp_path, change, strict=False)
    change['test_dataloader.collate_fn.type'] = 'three_channels'
    assert 'accuracy/top1' in evaluate(trained, tmp_path, change, strict=False)


def test_where_no_sample_can_be_prepared_nothing_is_said():
    check_image_shape(network(in_channels=4), images()[:1], 'test_dataloader')


def test_a_run_on_images_of_other_channels_leaves_no_folder(train, evaluate, trained, tmp_path):
    four = {'model.backbone.in_channels': 4}
    with pytest.raises(BadConfig, match='train_dataloader have 1 channel, but the network takes 4'):
        train(tmp_path / 'train', four)
    for tta in (False, True):
        with pytest.raises(BadConfig, match='test_dataloader have 1 channel, but the network'):
            evaluate(trained, tmp_path / 'test', four, strict=False, tta=tta)
    assert not list(tmp_path.iterdir())

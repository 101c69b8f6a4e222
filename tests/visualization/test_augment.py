import numpy as np
import pytest
import torch
from mmengine import Config

from mmconvmixer import zoo
from mmconvmixer.errors import BadConfig, BadImage, UnknownOption
from mmconvmixer.visualization.augment import augmentation_stages, plot_augment

RED = np.zeros((32, 32, 3), np.uint8)
RED[..., 2] = 200  # BGR
RED[:, :16] = 90


def cifar(**keys):
    """CIFAR-10's config, with some other keys."""
    config = zoo.load_config('convmixer-128-4_cifar10')
    config.merge_from_dict(keys)
    return config


def stages_of(config, images=(RED,), rows=4, seed=0):
    return augmentation_stages(config, images, rows, seed)


def test_steps_on_whole_batches_follow_each_other():
    stages = stages_of(cifar())
    assert [title for title, _ in stages] == [
        'image', 'BatchRandomCrop', 'BatchRandomFlip', 'BatchRandAugment']
    images = dict(stages)
    for image in images['image']:
        np.testing.assert_array_equal(image, RED[..., ::-1])
    flipped = [np.array_equal(after, before[:, ::-1]) for before, after in zip(
        images['BatchRandomCrop'], images['BatchRandomFlip'], strict=True)]
    kept = [np.array_equal(after, before) for before, after in zip(
        images['BatchRandomCrop'], images['BatchRandomFlip'], strict=True)]
    assert [a or b for a, b in zip(flipped, kept, strict=True)] == [True] * 4


def test_the_batch_is_what_training_makes_of_it():
    """The last stage of the figure, normalized, is what the network would get."""
    from mmconvmixer import get_model
    config = cifar()
    shown = stages_of(config, seed=3)[-1][1]
    preprocessor = get_model(config).data_preprocessor
    torch.manual_seed(3)
    inputs = torch.from_numpy(RED).permute(2, 0, 1).expand(4, 3, 32, 32)
    trained = preprocessor(dict(inputs=inputs), training=True)['inputs']
    seen = (trained * preprocessor.std + preprocessor.mean).round().clamp(0, 255)
    np.testing.assert_array_equal(np.stack(shown), seen.permute(0, 2, 3, 1).numpy())


def test_steps_on_single_images_are_named_without_conversions():
    config = zoo.load_config('convmixer-128-4_cifar10')
    base = Config.fromfile(zoo.package_root() / 'configs/_base_/datasets/cifar10.py')
    config.train_dataloader = base.train_dataloader
    config.data_preprocessor = base.data_preprocessor
    stages = stages_of(config, rows=5)
    assert [title for title, _ in stages] == ['image', 'RandomHorizontalFlip', 'RandAugment']
    for image in dict(stages)['RandomHorizontalFlip']:
        assert any(np.array_equal(image, RED[:, ::step, ::-1]) for step in (1, -1))


def test_mixing_comes_last_and_is_shown_in_colors():
    config = cifar(**{'model.train_cfg': dict(augments=dict(type='Mixup', alpha=1.)),
                      'data_preprocessor.transforms': []})
    black = np.zeros((32, 32, 3), np.uint8)
    stages = stages_of(config, (RED, black), rows=2)
    assert [title for title, _ in stages] == ['image', 'Mixup']
    one, other = dict(stages)['Mixup']
    if np.array_equal(one, RED[..., ::-1]):  # the permutation kept the rows
        assert not other.any()
    else:
        np.testing.assert_allclose(one.astype(int) + other, RED[..., ::-1], atol=1)


def test_an_image_of_another_size_gets_the_size_that_the_data_set_has():
    stages = stages_of(cifar(), (np.full((48, 64, 3), 7, np.uint8),), rows=1)
    assert {image.shape for _, (image,) in stages} == {(32, 32, 3)}


def test_a_gray_network_and_the_papers_recipe(digit_images, texts, nothing_cut_off):
    figure = plot_augment(zoo.load_config('convmixer-64-4_digits'), digit_images[:2], rows=3,
                               name='mine')
    assert [axes.get_title() for axes in figure.axes[:2]] == ['image', 'RandomAffine']
    assert len(figure.axes) == 6 and nothing_cut_off(figure)
    assert 'mine: what training' in ' '.join(texts(figure))
    paper = zoo.load_config('convmixer-768-32_3rdparty_in1k')
    paper.model.backbone.arch = '8/1-p7-k3'
    paper.model.head.in_channels = 8
    stages = stages_of(paper, rows=2)
    assert [title for title, _ in stages] == [
        'image', 'RandomChoice\nRandomResizedCrop\nRandomFlip\nRandAugment', 'MixThenErase']
    assert {image.shape for image in stages[-1][1]} == {(224, 224, 3)}


def test_a_seed_gives_the_same_draws_and_leaves_the_generators_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (stages_of(cifar(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one[-1][1], same[-1][1])
    assert not np.array_equal(one[-1][1], other[-1][1])


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(UnknownOption, match=r'rows \(--rows\) is 0, .* 1 to 24'):
        stages_of(cifar(), rows=0)
    with pytest.raises(BadConfig, match='has no train_dataloader'):
        stages_of(cifar(train_dataloader=None))
    with pytest.raises(BadImage, match=r'nothing\.png'):
        stages_of(cifar(), ('nothing.png',))
    config = cifar()
    pipeline = [dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=20),
                dict(type='PackInputs')]
    config.train_dataloader.dataset.dataset.pipeline = pipeline
    with pytest.raises(BadImage, match='differ in size after the training pipeline: 20 x 20, 20 x'):
        stages_of(config, (RED, np.zeros((32, 48, 3), np.uint8)), rows=2)

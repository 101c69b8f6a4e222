from copy import deepcopy

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.models import ClsDataPreprocessor, RandomBatchAugment
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample
from torch.testing import assert_close

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import BatchPreprocessor

NORM = dict(mean=[125.307, 122.961, 113.8575], std=[63.0105, 62.0925, 66.708], to_rgb=True)
RANDOM = [
    dict(type='BatchRandomFlip', prob=0.5), dict(type='BatchRandomCrop', padding=2),
    dict(type='BatchRandAugment', num_ops=2, magnitude=12),
    dict(type='BatchRandomResizedCrop', scale=(0.3, 1.)),
    dict(type='BatchColorJitter', strength=0.4)]


class Mark:
    """Write 10 to the first channel and 200 to the last, and keep the input."""

    def __init__(self, seen):
        self.seen = seen

    def __call__(self, images):
        self.seen.append(images.clone())
        images = images.clone()
        images[:, 0], images[:, -1] = 10, 200
        return images


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (16, 3, 32, 32), generator=generator, dtype=torch.uint8)


def samples(count):
    return [DataSample().set_gt_label(number % 10) for number in range(count)]


def processed(preprocessor, images, training=True, seed=0, data_samples=None):
    torch.manual_seed(seed)
    return preprocessor(dict(inputs=images, data_samples=data_samples), training)['inputs']


def equal(a, b):
    assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize('batched', [True, False], ids=['tensor', 'list'])
def test_without_training_it_is_mmpretrains_and_draws_no_numbers(images, batched):
    inputs = images if batched else list(images)
    expected = processed(ClsDataPreprocessor(**NORM), inputs, training=False)
    preprocessor = BatchPreprocessor(RANDOM, **NORM)
    equal(processed(preprocessor, inputs, training=False), expected)
    assert torch.get_rng_state().equal(torch.manual_seed(0).get_state())
    assert not torch.equal(processed(preprocessor, inputs, training=True), expected)


@pytest.mark.parametrize('training', [True, False])
def test_without_transforms_it_is_mmpretrains(images, training):
    equal(processed(BatchPreprocessor(**NORM), images, training),
          processed(ClsDataPreprocessor(**NORM), images, training))


def test_the_transforms_run_in_their_order_before_normalization(images):
    preprocessor = BatchPreprocessor(RANDOM, mean=NORM['mean'], std=NORM['std'])
    torch.manual_seed(3)
    transformed = images
    for transform in RANDOM:
        transformed = TRANSFORMS.build(transform)(transformed)
    mean, std = (torch.tensor(NORM[key])[:, None, None] for key in ('mean', 'std'))
    equal(processed(preprocessor, images, seed=3), (transformed.float() - mean) / std)


def test_each_batch_has_new_draws(images):
    preprocessor = BatchPreprocessor(RANDOM, **NORM)
    first = processed(preprocessor, images)
    again = preprocessor(dict(inputs=images), True)['inputs']
    assert ((first != again).flatten(1).any(1)).sum() > len(images) // 2
    equal(processed(preprocessor, images), first)  # from the same seed


@pytest.mark.parametrize('to_rgb', [True, False])
def test_transforms_see_rgb_and_so_does_the_network(images, to_rgb):
    seen = []
    preprocessor = BatchPreprocessor([dict(type=Mark, seen=seen)], to_rgb=to_rgb)
    out = processed(preprocessor, images)
    equal(seen[0], images.flip(1) if to_rgb else images)
    assert (out[:, 0] == 10).all() and (out[:, 2] == 200).all()
    equal(out[:, 1], images[:, 1].float())


def test_gray_images_have_no_channels_to_reverse(images):
    seen = []
    gray = images[:, :1]
    processed(BatchPreprocessor([dict(type=Mark, seen=seen)], to_rgb=True), gray)
    equal(seen[0], gray)


def test_a_list_of_images_is_taken_as_a_batch(images):
    preprocessor = BatchPreprocessor(RANDOM, **NORM)
    equal(processed(preprocessor, list(images)), processed(preprocessor, images))


def test_the_input_images_are_not_changed(images):
    given = images.clone()
    batch = dict(inputs=images, data_samples=None)
    BatchPreprocessor(RANDOM, **NORM)(batch, True)
    equal(images, given)
    assert batch['inputs'] is images


@pytest.mark.parametrize('training', [True, False])
def test_mixed_precision_does_not_change_the_pixels(images, training):
    preprocessor = BatchPreprocessor(RANDOM, **NORM)
    expected = processed(preprocessor, images, training)
    with torch.autocast('cpu', torch.bfloat16):
        out = processed(preprocessor, images, training)
        assert torch.is_autocast_enabled('cpu')
    assert out.dtype == torch.float32
    equal(out, expected)


def test_inside_autocast_the_pixels_would_change(images):
    """This shows that the test above can fail."""
    augment = TRANSFORMS.build(RANDOM[2])
    torch.manual_seed(0)
    expected = augment(images)
    torch.manual_seed(0)
    with torch.autocast('cpu', torch.bfloat16):
        assert not torch.equal(augment(images), expected)


def test_mixing_comes_after_the_transforms_and_normalization(images):
    plain = BatchPreprocessor(RANDOM, **NORM, num_classes=10)
    mixing = BatchPreprocessor(RANDOM, **NORM, num_classes=10, batch_augments=dict(
        augments=dict(type='Mixup', alpha=0.5)))
    torch.manual_seed(1)
    np.random.seed(1)
    out = mixing(dict(inputs=images, data_samples=samples(16)), True)
    torch.manual_seed(1)
    np.random.seed(1)
    transformed = plain(dict(inputs=images), True)['inputs']
    expected, scores = RandomBatchAugment(dict(type='Mixup', alpha=0.5))(
        transformed, torch.eye(10)[torch.arange(16) % 10])
    equal(out['inputs'], expected)
    equal(torch.stack([sample.gt_score for sample in out['data_samples']]), scores)
    assert ((scores > 0).sum(1) == 2).any()  # some images mix two classes


def test_labels_stay_with_their_images(images):
    dark = images // 4 * torch.tensor([0, 1])[torch.arange(16) % 2][:, None, None, None]
    preprocessor = BatchPreprocessor(RANDOM[:1] + RANDOM[3:4])
    out = preprocessor(dict(inputs=dark.to(torch.uint8), data_samples=samples(16)), True)
    for image, sample in zip(out['inputs'], out['data_samples'], strict=True):
        assert bool(image.any()) == int(sample.gt_label) % 2


def test_a_misspelt_option_is_a_type_error():
    with pytest.raises(TypeError, match='magnitud'):
        BatchPreprocessor([dict(type='BatchRandAugment', magnitud=3)])
    with pytest.raises(TypeError, match='transform'):
        BatchPreprocessor(transform=[])


# CIFAR-10 has two configs: one augments each image, the other whole batches.

@pytest.fixture(scope='module')
def configs(repo):
    folder = repo / 'configs/_base_/datasets'
    return tuple(Config.fromfile(folder / f'{name}.py')
                 for name in ('cifar10', 'cifar10_in_memory'))


@pytest.fixture(scope='module')
def photo():
    """A BGR image with edges, gradients and colors that is not symmetric."""
    y, x = np.mgrid[:32, :32]
    b = 6 * x + 40
    g = 255 - 7 * y
    r = np.where((x - 12) ** 2 + (y - 10) ** 2 < 60, 200, 30 + 2 * x)
    return np.stack([b, g, r], -1).clip(0, 255).astype(np.uint8)


def preprocessor_of(cfg):
    options = {'type': 'ClsDataPreprocessor', **cfg.data_preprocessor}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(options)


def per_image(cfg, loader, leave_out=()):
    """Build the pipeline of a data loader's config without the step that loads the file."""
    dataset = cfg[loader].dataset
    pipeline = dataset.get('dataset', dataset).pipeline
    assert pipeline[0].type == 'LoadImageFromFile'
    kept = [step for step in pipeline[1:] if step.type not in leave_out]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Compose([TRANSFORMS.build(step) for step in kept])


def packed(pipeline, photo):
    return pipeline(dict(img=photo.copy(), img_path='', gt_label=0))['inputs']


def augmented_by(cfg, photo, count, seed):
    """Send the same image `count` times through the training pipeline of a config."""
    torch.manual_seed(seed)
    pipeline, preprocessor = per_image(cfg, 'train_dataloader'), preprocessor_of(cfg)
    batches = [torch.stack([packed(pipeline, photo) for _ in range(500)])
               for _ in range(count // 500)]
    return torch.cat([preprocessor(dict(inputs=batch), True)['inputs'] for batch in batches])


def z_scores(a, b):
    """Return the difference of two samples' means, in standard errors, for each pixel."""
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    return (a.mean(0) - b.mean(0)).abs() / error


def signature(images):
    """Return statistics of each image that every operation changes differently."""
    gray = images.mean(1)
    left, right = gray[..., :16].mean((1, 2)), gray[..., 16:].mean((1, 2))
    top, bottom = gray[:, :16].mean((1, 2)), gray[:, 16:].mean((1, 2))
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    quantities = [gray.mean((1, 2)), gray.std((1, 2)), images.std(1).mean((1, 2)),
                  across.mean((1, 2, 3)), down.mean((1, 2, 3)), (left - right).abs(),
                  (top - bottom).abs(), (across > 0.5).float().mean((1, 2, 3)),
                  images.amin((1, 2, 3)), images.amax((1, 2, 3))]
    return torch.stack([*quantities, *(each ** 2 for each in quantities)], 1).double()


COUNT = 3000


@pytest.fixture(scope='module')
def both(configs, photo):
    """Images augmented with each of the two configs."""
    return tuple(augmented_by(cfg, photo, COUNT, seed) for seed, cfg in enumerate(configs))


def assert_alike(a, b):
    a, b = a.double(), b.double()
    # At level 12 the shears move row and column 12 by half a pixel. There PIL always rounds to
    # the same side and tensors to either side (test_rand_augment.py), so that the black border
    # may end one pixel earlier.
    plain = torch.ones(32, 32, dtype=torch.bool)
    plain[12], plain[:, 12] = False, False
    # 2,883 pixels and 20 statistics: a normal variable exceeds 5 once in two million draws.
    for power in (1, 2):
        scores = z_scores(a ** power, b ** power)
        assert scores[:, plain].max() < 5
        assert scores.square().mean() < 2  # 1 is expected, but pixels are correlated
    assert (a.mean(0) - b.mean(0)).abs().max() < 0.25  # includes row and column 12
    assert z_scores(signature(a), signature(b)).max() < 5


def test_whole_batches_are_augmented_like_single_images(both):
    assert_alike(*both)


def test_with_either_config_most_augmented_images_differ(both):
    # 23 operations with signs, twice, flipped or not, have about 1,000 outcomes.
    for images in both:
        assert len({image.numpy().tobytes() for image in images}) > 500


@pytest.mark.parametrize('change', [
    {'0.prob': 0.4}, {'1.magnitude': 11}, {'1.magnitude': 13}, {'1.num_ops': 1}, 'order',
    'one draw'])
def test_another_distribution_would_be_noticed(configs, both, photo, change):
    """This shows that the test above can fail."""
    cfg = deepcopy(configs[1])
    transforms = cfg.data_preprocessor.transforms
    if change == 'order':  # of the channels
        cfg.data_preprocessor.to_rgb = False
    elif change == 'one draw':  # repeats 20 outcomes
        few = both[1][:20].repeat(COUNT // 20, 1, 1, 1)
        with pytest.raises(AssertionError):
            assert_alike(both[0], few)
        return
    else:
        for key, value in change.items():
            place, option = key.split('.')
            transforms[int(place)][option] = value
    with pytest.raises(AssertionError):
        assert_alike(both[0], augmented_by(cfg, photo, COUNT, 1))


def test_without_random_transforms_both_give_the_same_pixels(configs, photo):
    usual, in_memory = configs
    random = [step.type for step in usual.train_dataloader.dataset.pipeline
              if step.type.startswith('torchvision/')]
    assert len(random) == len(in_memory.data_preprocessor.transforms)
    bare = deepcopy(in_memory)
    bare.data_preprocessor.transforms = []
    for variant in ((in_memory, False), (bare, True)):
        out = [preprocessor_of(cfg)(dict(inputs=packed(pipeline, photo)[None]), training)['inputs']
               for cfg, pipeline, training in (
                   (usual, per_image(usual, 'train_dataloader', random), True),
                   (variant[0], per_image(in_memory, 'train_dataloader'), variant[1]))]
        equal(*out)


def test_the_images_of_the_test_set_are_the_same(configs, photo):
    usual, in_memory = (preprocessor_of(cfg)(
        dict(inputs=packed(per_image(cfg, 'val_dataloader'), photo)[None]))['inputs']
        for cfg in configs)
    equal(in_memory, usual)


def test_the_configs_differ_in_nothing_else(configs):
    usual, in_memory = (deepcopy(cfg).to_dict() for cfg in configs)
    assert in_memory['data_preprocessor'].pop('type') == 'BatchPreprocessor'
    in_memory['data_preprocessor'].pop('transforms')
    for name in ('train_dataloader', 'val_dataloader'):
        loaders = usual[name], in_memory[name]
        assert loaders[1].pop('num_workers') == 0
        loaders[0].pop('num_workers')
        wrapper = loaders[1]['dataset']
        assert wrapper.pop('type') == 'InMemory' and list(wrapper) == ['dataset']
        loaders[1]['dataset'] = wrapper['dataset']
        for loader in loaders:
            loader['dataset'].pop('pipeline')
    assert in_memory.pop('_pipeline')
    assert in_memory == usual

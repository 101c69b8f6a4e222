import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms import RandAugment, autoaugment, v2
from torchvision.transforms import functional as TF

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import BatchRandAugment
from mmconvmixer.datasets.batch_transforms import rand_augment
from mmconvmixer.datasets.batch_transforms.rand_augment import LEVELS, OPERATIONS, apply_operations

NAMES = list(OPERATIONS)
SIZE = 32
# torchvision's own table: name -> (strength of each level, whether its sign is drawn)
TABLE = RandAugment()._augmentation_space(LEVELS, (SIZE, SIZE))
CONFIG_LEVEL = 12  # of configs/_base_/datasets/cifar10*.py
LEVELS_OF_SHEAR_TIES = (4, 12, 20, 28)


class Only(RandAugment):
    """torchvision's transform after drawing this operation and this sign."""

    def __init__(self, name, negative, magnitude):
        super().__init__(1, magnitude)
        self.name, self.negative = name, negative

    def _augmentation_space(self, bins, size):
        strengths, _ = super()._augmentation_space(bins, size)[self.name]
        return {self.name: (-strengths if self.negative else strengths, False)}


@pytest.fixture
def newer(monkeypatch):
    """Make `Only` use torchvision's newer functions (v2).

    They truncate the same sums as the older ones, but after other roundings.
    """
    monkeypatch.setattr(autoaugment, 'F', v2.functional)


def batch(images, name, negative, magnitude):
    count = len(images)
    return apply_operations(images, torch.full((count,), NAMES.index(name)),
                     torch.full((count,), negative), magnitude)


def signs_of(name):
    return range(1 + TABLE[name][1])


def differences(actual, expected):
    return (actual.int() - torch.stack(list(expected)).int()).abs()


def test_the_operations_and_which_have_signs_are_torchvisions():
    assert [(name, signed) for name, (_, signed, _) in OPERATIONS.items()] == [
        (name, signed) for name, (_, signed) in TABLE.items()]


@pytest.mark.parametrize('name', NAMES)
def test_each_image_equals_torchvisions_result_for_it_alone_bit_for_bit(random_images, newer, name):
    images = random_images(4)
    for magnitude in range(LEVELS):
        for negative in signs_of(name):
            alone = Only(name, negative, magnitude)
            off = differences(batch(images, name, negative, magnitude), map(alone, images))
            assert not off.any(), (magnitude, negative, (off > 0).double().mean())


# The older functions (transforms.RandAugment on tensors) round intermediate sums in other places
# before truncating. This is the largest share of values that are then one level off.
OLDER_SHARES = {'Color': 0.03, 'Sharpness': 0.27, 'AutoContrast': 0.005}


@pytest.mark.parametrize('name', NAMES)
def test_the_older_transform_differs_by_one_level_in_three_operations(random_images, name):
    images = random_images(4)
    for magnitude in range(LEVELS):
        for negative in signs_of(name):
            alone = Only(name, negative, magnitude)
            off = differences(batch(images, name, negative, magnitude), map(alone, images))
            share = (off > 0).double().mean()
            assert off.max() <= (name in OLDER_SHARES), (magnitude, negative, share)
            assert share <= OLDER_SHARES.get(name, 0), (magnitude, negative)


# PIL rounds gray and the mean of gray, which torchvision truncates for tensors.
PIL_SHARES = {'Color': 0.5, 'Contrast': 0.55, 'Sharpness': 0.01, 'AutoContrast': 0.012}


@pytest.mark.parametrize('name', [
    name for name in NAMES if name not in ('ShearX', 'ShearY', 'Rotate')])
def test_pil_differs_by_one_level_at_most(random_images, name):
    images = random_images(8)
    for magnitude in range(LEVELS):
        for negative in signs_of(name):
            alone = Only(name, negative, magnitude)
            off = differences(
                batch(images, name, negative, magnitude),
                (TF.pil_to_tensor(alone(TF.to_pil_image(image))) for image in images))
            share = (off > 0).double().mean()
            assert off.max() <= (name in PIL_SHARES), (magnitude, negative, share)
            assert share <= PIL_SHARES.get(name, 0), (magnitude, negative)


@pytest.mark.parametrize('name', ['ShearX', 'ShearY'])
@pytest.mark.parametrize('negative', [0, 1])
def test_pil_shears_differ_only_where_two_pixels_are_equally_near(random_images, name, negative):
    images = random_images(8)
    rows = images if name == 'ShearX' else images.mT
    for magnitude in range(LEVELS):
        alone = Only(name, negative, magnitude)
        actual = batch(images, name, negative, magnitude)
        pil = torch.stack([TF.pil_to_tensor(alone(TF.to_pil_image(image))) for image in images])
        if name == 'ShearY':
            actual, pil = actual.mT, pil.mT
        # Row r moves by (r + 1/2) times the strength; a move by half a pixel is a tie.
        moves = {row: (row + 0.5) * magnitude / 100 for row in range(SIZE)}
        ties = {row: move for row, move in moves.items() if abs(move % 1 - 0.5) < 1e-6}
        assert bool(ties) == (magnitude in LEVELS_OF_SHEAR_TIES)
        off = (actual != pil).any(1).any(0).any(1)
        assert set(off.nonzero()[:, 0].tolist()) <= ties.keys(), magnitude
        for row, move in ties.items():
            sign = 1 if negative else -1
            either = [rows[:, :, row].roll(sign * int(move + more), -1) for more in (0, 1)]
            inside = slice(7, -7)  # up to 5.5 pixels at the border are black
            for drawn in (actual, pil):
                nearest = (drawn[:, :, row] == either[0]) | (drawn[:, :, row] == either[1])
                assert nearest[..., inside].all(), (magnitude, row)


@pytest.mark.parametrize('negative', [0, 1])
def test_pil_rotations_differ_in_at_most_two_pixels_of_a_thousand(random_images, negative):
    """PIL's fixed-point coordinates can fall on the other side of a pixel's edge."""
    images = random_images(8)
    for magnitude in range(LEVELS):
        alone = Only('Rotate', negative, magnitude)
        off = differences(batch(images, 'Rotate', negative, magnitude),
                          (TF.pil_to_tensor(alone(TF.to_pil_image(image))) for image in images))
        assert (off > 0).any(1).double().mean() <= 0.002, magnitude


@pytest.mark.parametrize('name', ['TranslateX', 'TranslateY'])
@pytest.mark.parametrize('side', [31, 32, 224, 331])
def test_images_of_other_sizes_are_translated_by_as_many_pixels_as_in_torchvision(name, side):
    image = torch.arange(side).remainder(251).add(1).to(torch.uint8).expand(3, 3, side)
    images = (image if name == 'TranslateX' else image.mT)[None].contiguous()
    for magnitude in range(LEVELS):
        for negative in (0, 1):
            expected = Only(name, negative, magnitude)(images[0])
            assert torch.equal(batch(images, name, negative, magnitude)[0], expected), magnitude


@pytest.mark.parametrize('magnitude', [1, CONFIG_LEVEL, LEVELS - 1])
def test_a_mixed_batch_keeps_its_order_and_each_image_its_own_operation(random_images, magnitude):
    draws = torch.arange(4 * len(NAMES)) % len(NAMES)
    draws = draws[torch.randperm(len(draws))]
    negative = torch.randint(2, draws.shape)
    images = random_images(len(draws))
    expected = [batch(image[None], NAMES[draw], int(sign), magnitude)[0]
                for image, draw, sign in zip(images, draws, negative, strict=True)]
    assert_close(apply_operations(images, draws, negative, magnitude), torch.stack(expected),
                 rtol=0, atol=0)


def test_operations_without_a_sign_ignore_it(random_images):
    images = random_images(4)
    for name, (_, signed, _) in OPERATIONS.items():
        equal = torch.equal(batch(images, name, 0, CONFIG_LEVEL),
                            batch(images, name, 1, CONFIG_LEVEL))
        assert equal != signed, name


@pytest.fixture
def drawn(random_images, monkeypatch):
    """Return a function that draws operations and signs, both (calls, num_ops, N)."""
    def draw(calls=100, num_ops=2, count=60):
        kept = []

        def spy(images, draws, negative, magnitude):
            assert magnitude == CONFIG_LEVEL
            kept.append((draws, negative))
            return apply_operations(images, draws, negative, magnitude)

        monkeypatch.setattr(rand_augment, 'apply_operations', spy)
        transform = BatchRandAugment(num_ops, CONFIG_LEVEL)
        images = random_images(count, 8, 8)
        for _ in range(calls):
            out, start = transform(images), images
            for draws, negative in kept[-num_ops:]:  # one after another
                start = apply_operations(start, draws, negative, CONFIG_LEVEL)
            assert torch.equal(out, start)
        assert len(kept) == calls * num_ops
        return tuple(torch.stack(each).unflatten(0, (calls, num_ops))
                     for each in zip(*kept, strict=True))
    return draw


def test_operations_and_signs_are_drawn_as_torchvision_draws_them(
        drawn, assert_independent, assert_shares, assert_alike, monkeypatch):
    draws, negative = drawn()
    assert_shares(draws, torch.full((14,), 1 / 14))
    # Operation and sign are independent, and so are the operations of one image.
    assert_shares(2 * draws + negative, torch.full((28,), 1 / 28))
    assert_shares(14 * draws[:, 0] + draws[:, 1], torch.full((196,), 1 / 196))
    for each in (draws[:, 0], draws[:, 1], negative[:, 0], negative[:, 1]):
        assert_independent(each)

    expected = []
    monkeypatch.setattr(
        autoaugment, '_apply_op',
        lambda image, name, strength, **_: expected.append((name, strength < 0)))
    image, augment = torch.zeros(3, 4, 4, dtype=torch.uint8), RandAugment(1, CONFIG_LEVEL)
    for _ in range(6000):
        augment(image)
    signed = torch.tensor([TABLE[name][1] for name in NAMES])
    assert_alike(2 * draws + negative * signed[draws],
                 [2 * NAMES.index(name) + minus for name, minus in expected])


@pytest.mark.parametrize('num_ops', [0, 1, 3])
def test_num_ops_operations_are_applied(drawn, num_ops):
    if num_ops:
        assert drawn(calls=2, num_ops=num_ops)[0].shape == (2, num_ops, 60)
    else:
        images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
        assert torch.equal(BatchRandAugment(0)(images), images)


@pytest.mark.parametrize('magnitude', [-1, 31, 100])
def test_a_magnitude_beyond_the_levels_is_refused(magnitude):
    with pytest.raises(ValueError, match=rf'{magnitude}, expected 0\.\.30'):
        BatchRandAugment(2, magnitude)


def test_the_input_batch_is_not_changed(random_images):
    images = random_images(56)
    given = images.clone()
    out = BatchRandAugment(2, 30)(images)
    assert out.dtype == torch.uint8 and not torch.equal(out, images)
    assert torch.equal(images, given)

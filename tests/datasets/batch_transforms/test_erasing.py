import math
import random

import numpy as np
import pytest
import torch
from mmpretrain.registry import BATCH_AUGMENTS
from scipy.stats import ks_2samp
from torchvision import transforms as T

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import MixThenErase

SIZE = 32


@pytest.fixture(autouse=True)
def seeded():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def unmixed(images, scores):
    return images, scores


def rectangle(erased):
    """Return height and width of the one rectangle in a mask; nothing else may be set."""
    rows, columns = erased.any(1), erased.any(0)
    h, w = int(rows.sum()), int(columns.sum())
    assert int(erased.sum()) == h * w
    assert rows.nonzero()[-1] - rows.nonzero()[0] == h - 1
    assert columns.nonzero()[-1] - columns.nonzero()[0] == w - 1
    return h, w


def erase(count=1, shape=(3, SIZE, SIZE), **options):
    """Erase in images filled with 5; every other value was erased."""
    images = torch.full((count, *shape), 5.)
    scores = torch.eye(10)[torch.arange(count) % 10]
    out, out_scores = MixThenErase([unmixed], **options)(images.clone(), scores)
    assert out.shape == images.shape
    assert torch.equal(out_scores, scores)
    return out


@pytest.mark.parametrize('probability', [0.25, 0.5])
def test_a_rectangle_is_erased_in_that_share_of_the_images(probability):
    out = erase(2000, (1, 8, 8), erase_prob=probability)
    share = (out != 5).flatten(1).any(1).double().mean().item()
    # Four standard deviations for 2,000 draws.
    assert abs(share - probability) < 4 * math.sqrt(probability * (1 - probability) / 2000)


@pytest.mark.parametrize('probability, erased', [(0., 0), (1., 50)])
def test_never_and_always_are_probabilities(probability, erased):
    out = erase(50, erase_prob=probability)
    assert int((out != 5).flatten(1).any(1).sum()) == erased


def test_a_quarter_is_the_default_share():
    assert MixThenErase([unmixed]).erase_prob == 0.25


def test_one_rectangle_is_erased_in_all_channels_and_nothing_elsewhere():
    for image in erase(200, erase_prob=1.):
        erased = image != 5
        assert torch.equal(erased[0], erased[1]) and torch.equal(erased[0], erased[2])
        rectangle(erased[0])


def test_areas_and_aspects_fill_their_ranges():
    sizes = [rectangle(image[0] != 5) for image in erase(1000, erase_prob=1.)]
    areas = np.array([h * w for h, w in sizes]) / SIZE ** 2
    aspects = np.array([h / w for h, w in sizes])
    # Sides are rounded to whole pixels, which is up to half a pixel of at least 2.5.
    assert 0.01 < areas.min() < 0.035 and 0.31 < areas.max() < 0.36
    assert 0.2 < aspects.min() < 0.35 and 1 / 0.35 < aspects.max() < 1 / 0.2
    # Area and log(aspect) are uniform, except that some rectangles do not fit.
    assert areas.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.015)
    assert np.log(aspects).mean() == pytest.approx(0, abs=0.1)


def test_area_and_min_aspect_are_options():
    out = erase(200, erase_prob=1., area=(0.25, 0.25), min_aspect=1.)
    assert {rectangle(image[0] != 5) for image in out} == {(SIZE // 2, SIZE // 2)}


def test_rectangles_are_drawn_everywhere_in_the_image():
    out = erase(500, erase_prob=1., area=(0.25, 0.25), min_aspect=1.)
    tops = [int((image[0] != 5).any(1).nonzero()[0]) for image in out]
    lefts = [int((image[0] != 5).any(0).nonzero()[0]) for image in out]
    assert set(tops) == set(lefts) == set(range(SIZE // 2 + 1))


def test_noise_is_standard_normal_and_differs_pixel_by_pixel():
    noise = erase(300, erase_prob=1.)
    noise = noise[noise != 5].double()
    assert abs(noise.mean()) < 4 / math.sqrt(len(noise))
    assert abs(noise.std() - 1) < 4 / math.sqrt(2 * len(noise))
    assert len(noise.unique()) > 0.9 * len(noise)
    assert noise.min() < -3 and noise.max() > 3  # not clipped


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_kept(dtype):
    images = torch.zeros(4, 3, SIZE, SIZE, dtype=dtype)
    out, _ = MixThenErase([unmixed], erase_prob=1.)(images, torch.eye(4))
    assert out.dtype == dtype and (out != 0).any()


@pytest.mark.parametrize('shape', [(1, 1, 1), (3, 2, 2), (3, 1, 40)])
def test_tiny_images_are_never_erased_completely(shape):
    for image in erase(20, shape, erase_prob=1.):
        assert (image == 5).any()


def test_mixing_comes_first_and_mixes_the_scores():
    augment = BATCH_AUGMENTS.build(dict(
        type='MixThenErase', augments=[dict(type='Mixup', alpha=1.)], erase_prob=1.))
    images = torch.arange(8.).reshape(8, 1, 1, 1).expand(8, 3, SIZE, SIZE).contiguous()
    out, scores = augment(images, torch.eye(8))
    torch.testing.assert_close(scores.sum(1), torch.ones(8))
    values = scores @ torch.arange(8.)  # images and scores are mixed with the same weights
    for image, value in zip(out, values, strict=True):
        kept = (image - value).abs() < 1e-5
        assert rectangle(~kept.all(0))  # the noise was written after mixing


def test_one_of_the_augmentations_is_drawn_for_each_batch():
    names = []

    def named(name):
        def augment(images, scores):
            names.append(name)
            return images, scores
        return augment

    both = MixThenErase([named('mixup'), named('cutmix')], erase_prob=0.)
    for _ in range(200):
        both(torch.zeros(1, 1, 2, 2), torch.eye(1))
    assert len(names) == 200
    assert abs(names.count('mixup') - 100) < 4 * math.sqrt(200 * 0.25)


@pytest.mark.parametrize('shape', [(3, SIZE, SIZE), (1, 9, 20)])
def test_zero_fill_equals_torchvisions_erase_of_the_same_rectangle(shape):
    images = torch.randn(100, *shape)
    out, _ = MixThenErase([unmixed], erase_prob=1., fill='zero')(images.clone(), torch.eye(100))
    for image, actual in zip(images, out, strict=True):
        erased = (actual != image).any(0)
        h, w = rectangle(erased)
        top, left = (int(erased.any(axis).nonzero()[0]) for axis in (1, 0))
        assert torch.equal(actual, T.functional.erase(image, top, left, h, w, torch.zeros(1)))


def test_zero_fill_draws_rectangles_like_torchvision():
    area, min_aspect, count = (0.02, 0.33), 0.3, 2000
    erased = erase(count, erase_prob=0.5, area=area, min_aspect=min_aspect, fill='zero')[:, 0] != 5
    reference = T.RandomErasing(0.5, scale=area, ratio=(min_aspect, 1 / min_aspect))
    expected = torch.stack([reference(torch.full((1, SIZE, SIZE), 5.)) for _ in range(count)])
    expected = expected[:, 0] != 5

    def boxes(masks):
        masks = masks[masks.flatten(1).any(1)]
        return np.array([(*rectangle(mask), int(mask.any(1).nonzero()[0]),
                          int(mask.any(0).nonzero()[0])) for mask in masks])

    actual, other = boxes(erased), boxes(expected)
    # Four standard deviations of the difference between two shares.
    assert abs(len(actual) - len(other)) < 4 * math.sqrt(2 * count * 0.25)
    for column in range(4):  # height, width, top, left
        assert ks_2samp(actual[:, column], other[:, column]).pvalue > 1e-3
    assert ks_2samp(actual[:, 0] * actual[:, 1], other[:, 0] * other[:, 1]).pvalue > 1e-3
    assert ks_2samp(actual[:, 0] / actual[:, 1], other[:, 0] / other[:, 1]).pvalue > 1e-3


def test_fill_changes_what_is_written_not_where():
    outs = []
    for fill in ('noise', 'zero'):
        random.seed(4)
        outs.append(erase(50, erase_prob=0.5, fill=fill))
    noise, zero = outs
    assert torch.equal(noise != 5, zero != 5)
    assert (zero[zero != 5] == 0).all() and (zero != 5).any()
    assert not (noise[noise != 5] == 0).any()


def test_noise_is_the_default_fill():
    outs = []
    for options in ({}, dict(fill='noise')):
        random.seed(4)
        torch.manual_seed(4)
        outs.append(erase(20, erase_prob=0.5, **options))
    assert torch.equal(*outs)


def test_the_zero_of_a_normalized_image_is_its_mean_color():
    mean, std = torch.tensor([125., 120., 110.])[:, None, None], 60.
    images = (torch.randint(256, (40, 3, SIZE, SIZE)) - mean) / std
    out, _ = MixThenErase([unmixed], erase_prob=1., fill='zero')(images.clone(), torch.eye(40))
    erased = out != images
    pixels = (out * std + mean)[erased]
    assert torch.equal(pixels, mean.expand_as(out)[erased])


@pytest.mark.parametrize('fill', ['pixel', '', None, 0, 'Zero'])
def test_there_are_two_fills(fill):
    with pytest.raises(ValueError, match="'noise' or 'zero'") as caught:
        MixThenErase([unmixed], fill=fill)
    assert repr(fill) in str(caught.value)

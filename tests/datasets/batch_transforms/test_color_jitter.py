from itertools import permutations

import pytest
import torch
from scipy.stats import ks_2samp, kstest
from torch.testing import assert_close
from torchvision import transforms as T
from torchvision.transforms import functional as TF

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import BatchColorJitter
from mmconvmixer.datasets.batch_transforms import color_jitter
from mmconvmixer.datasets.batch_transforms.color_jitter import jitter

ADJUST = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation)
ORDERS = list(permutations(range(3)))


def alone(image, factors, order):
    """Do to one image what torchvision's `ColorJitter` does with these draws."""
    for chosen in order:
        image = ADJUST[chosen](image, float(factors[chosen]))
    return image


def every_order(random_images, strength, times=8):
    """Return images, factors and orders, with each of the six orders `times` times."""
    orders = torch.tensor(ORDERS * times).T
    factors = torch.empty(orders.shape).uniform_(1 - strength, 1 + strength)
    return random_images(orders.shape[1]), factors, orders


@pytest.mark.parametrize('strength', [0.1, 0.4, 1.])
def test_each_image_is_changed_as_by_torchvision_alone_in_each_order(random_images, strength):
    images, factors, orders = every_order(random_images, strength)
    expected = [alone(*each) for each in zip(images, factors.T, orders.T.tolist(), strict=True)]
    assert_close(jitter(images, factors, orders), torch.stack(expected), rtol=0, atol=0)


@pytest.mark.parametrize('chosen', range(3))
@pytest.mark.parametrize('factor', [0., 0.5, 1., 1.3, 2.])
def test_black_white_gray_and_pure_colors_are_changed_as_by_torchvision(chosen, factor):
    images = torch.tensor([[0, 0, 0], [255, 255, 255], [100, 100, 100], [255, 0, 0], [0, 255, 0],
                           [0, 0, 255]], dtype=torch.uint8)[..., None, None].repeat(1, 1, 4, 6)
    images[:, :, 0] = 77  # otherwise all images would have no contrast
    factors = torch.ones(3, len(images))
    factors[chosen] = factor
    order = torch.tensor([chosen, *{0, 1, 2} - {chosen}])
    actual = jitter(images, factors, order[:, None].expand(3, len(images)))
    assert_close(actual, torch.stack([ADJUST[chosen](image, factor) for image in images]),
                 rtol=0, atol=0)


@pytest.mark.parametrize('strength, levels, share', [(0.1, 3, 0.06), (0.4, 4, 0.2)])
def test_pil_differs_only_in_rounding_gray(random_images, strength, levels, share):
    """PIL rounds gray and its mean, which torchvision truncates for tensors.

    Before each blending that is at most one level, but later factors multiply it.
    """
    images, factors, orders = every_order(random_images, strength)
    pil = torch.stack([
        TF.pil_to_tensor(alone(TF.to_pil_image(image), *each))
        for image, *each in zip(images, factors.T, orders.T.tolist(), strict=True)])
    difference = (jitter(images, factors, orders).int() - pil.int()).abs()
    assert difference.max() <= levels
    assert (difference > 0).double().mean() < share


@pytest.fixture
def draws_of(random_images, monkeypatch):
    """Return a function that draws factors and orders, both (3, calls, N)."""
    def draw(strength, calls=150, count=40):
        drawn = []

        def spy(images, factors, orders):
            drawn.append((factors, orders))
            return jitter(images, factors, orders)

        monkeypatch.setattr(color_jitter, 'jitter', spy)
        images = random_images(count, 4, 4)
        for _ in range(calls):
            out = BatchColorJitter(strength)(images)
            assert torch.equal(out, jitter(images, *drawn[-1]))
        return tuple(torch.stack(each, 1) for each in zip(*drawn, strict=True))
    return draw


@pytest.mark.parametrize('strength', [0.1, 0.4, 1.5])
def test_factors_are_drawn_as_torchvision_draws_them(draws_of, assert_independent, strength):
    factors, _ = draws_of(strength)
    jitter = T.ColorJitter(strength, strength, strength)
    expected = torch.tensor([
        jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, None)[1:4]
        for _ in range(3000)]).T
    low = max(0., 1 - strength)
    for actual, other in zip(factors, expected, strict=True):
        flat = actual.flatten().numpy()
        assert low <= flat.min() and flat.max() <= 1 + strength
        assert kstest(flat, 'uniform', (low, 1 + strength - low)).pvalue > 1e-3
        assert ks_2samp(flat, other.numpy()).pvalue > 1e-3
        assert_independent(actual)
    between = torch.corrcoef(factors.flatten(1)) - torch.eye(3)
    assert between.abs().max() < 4 / factors[0].numel() ** 0.5


def test_orders_are_drawn_as_torchvision_draws_them(
        draws_of, assert_independent, assert_shares, assert_alike):
    factors, orders = draws_of(0.4)
    places = torch.tensor([
        [ORDERS.index(tuple(order)) for order in call.T.tolist()]
        for call in orders.unbind(1)])
    assert_shares(places, torch.full((6,), 1 / 6))
    assert_independent(places)
    # torchvision's order has hue, which this project leaves alone, somewhere between the three.
    expected = [tuple(chosen for chosen in torch.randperm(4).tolist() if chosen < 3)
              for _ in range(6000)]
    assert_alike(places, [ORDERS.index(order) for order in expected])
    apart = torch.corrcoef(torch.stack([places.flatten().float(), factors[0].flatten()]))[0, 1]
    assert abs(apart) < 4 / places.numel() ** 0.5


def test_strength_0_changes_nothing(random_images):
    images = random_images(8)
    assert torch.equal(BatchColorJitter(0.)(images), images)


def test_the_input_batch_is_not_changed(random_images):
    images = random_images(8)
    given = images.clone()
    out = BatchColorJitter(0.4)(images)
    assert out.dtype == torch.uint8 and not torch.equal(out, images)
    assert torch.equal(images, given)

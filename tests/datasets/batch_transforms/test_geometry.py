import pytest
import torch
from torch.testing import assert_close
from torchvision import transforms as T
from torchvision.transforms import functional as TF

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import BatchRandomCrop, BatchRandomFlip, BatchRandomResizedCrop
from mmconvmixer.datasets.batch_transforms import geometry
from mmconvmixer.datasets.batch_transforms.geometry import resized_crop, shift

SIZE = 32


def same(actual, expected):
    assert_close(actual, torch.stack(list(expected)), rtol=0, atol=0)


@pytest.mark.parametrize('height, width, padding', [(8, 8, 4), (5, 9, 2), (7, 3, 0)])
def test_each_image_is_cropped_as_torchvision_crops_it_alone(
        random_images, height, width, padding):
    offsets = torch.cartesian_prod(*2 * [torch.arange(2 * padding + 1)]).reshape(-1, 2)
    images = random_images(len(offsets), height, width)
    same(shift(images, *offsets.T, padding=padding),
         [TF.crop(TF.pad(image, padding), top, left, height, width)
          for image, (top, left) in zip(images, offsets.tolist(), strict=True)])


def test_crop_offsets_are_drawn_as_torchvision_draws_them(
        numbered, assert_independent, assert_shares, assert_alike):
    padding, size = 3, 11
    images = numbered(40, size, size)
    crop = BatchRandomCrop(padding)
    # The middle pixel is never padding, so its values tell the offset.
    middle = torch.stack([crop(images)[:, :2, 5, 5].int() for _ in range(200)]) - 5
    expected = [T.RandomCrop.get_params(torch.empty(3, 17, 17), (size, size))[:2]
              for _ in range(8000)]
    for axis in range(2):
        offsets = middle[..., axis] + padding
        assert_shares(offsets, torch.full((7,), 1 / 7))
        assert_alike(offsets, [params[axis] for params in expected])
        assert_independent(offsets)
    assert_independent((2 * padding + 1) * middle[..., 0] + middle[..., 1])
    assert_shares(7 * (middle[..., 0] + padding) + middle[..., 1] + padding,
                  torch.full((49,), 1 / 49))


@pytest.mark.parametrize('prob', [0., 0.25, 0.5, 1.])
def test_that_share_is_flipped_and_the_others_are_not(
        random_images, assert_independent, assert_shares, prob):
    images = random_images(40, 4, 5)
    flipped = torch.stack([TF.hflip(image) for image in images])
    flip = BatchRandomFlip(prob)
    draws = []
    for _ in range(200):
        out = flip(images)
        is_flipped = (out == flipped).flatten(1).all(1)
        assert ((out == images).flatten(1).all(1) != is_flipped).all()
        draws.append(is_flipped)
    draws = torch.stack(draws)
    if prob in (0, 1):
        assert (draws == prob).all()
    else:
        assert_shares(draws, [1 - prob, prob])
        assert_independent(draws)


def boxes_of(images, calls, scale, monkeypatch):
    """Return the (top, left, side) that `calls` calls draw, (3, calls, N)."""
    drawn = []

    def spy(images, *boxes):
        drawn.append(torch.stack(boxes))
        return resized_crop(images, *boxes)

    monkeypatch.setattr(geometry, 'resized_crop', spy)
    crop = BatchRandomResizedCrop(scale)
    for _ in range(calls):
        out = crop(images)
        same(out, resized_crop(images, *drawn[-1]))
    return torch.stack(drawn, 1)


@pytest.mark.parametrize('side', range(1, SIZE + 1))
def test_each_crop_is_resized_as_by_torchvision_alone(random_images, side):
    images = random_images(12)
    top, left = torch.randint(SIZE + 1 - side, (2, len(images)))
    sides = torch.full((len(images),), float(side))
    actual = resized_crop(images, top.float(), left.float(), sides)
    places = list(zip(images, top.tolist(), left.tolist(), strict=True))
    # With a power of two as the size, all coordinates are exact.
    same(actual, [TF.resized_crop(image, y, x, side, side, [SIZE, SIZE], antialias=True)
                for image, y, x in places])
    # PIL resizes rows and columns in turn and rounds twice, up to half a level each time.
    pil = torch.stack([TF.pil_to_tensor(TF.resized_crop(
        TF.to_pil_image(image), y, x, side, side, [SIZE, SIZE])) for image, y, x in places])
    difference = (actual.int() - pil.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).double().mean() < 0.27


@pytest.mark.parametrize('height, width', [(24, 24), (24, 40), (33, 33), (31, 17)])
def test_with_other_sizes_a_value_halfway_between_levels_may_round_either_way(
        random_images, height, width):
    images = random_images(12, height, width)
    for side in range(1, min(height, width) + 1):
        top = torch.randint(height + 1 - side, (len(images),))
        left = torch.randint(width + 1 - side, (len(images),))
        sides = torch.full((len(images),), float(side))
        actual = resized_crop(images, top.float(), left.float(), sides)
        exact = torch.stack([
            TF.resized_crop(image.double(), y, x, side, side, [height, width], antialias=True)
            for image, y, x in zip(images, top.tolist(), left.tolist(), strict=True)])
        # Coordinates up to 40 have float32 errors of 4e-6, and neighbors differ by up to 255.
        assert (actual - exact).abs().max() <= 0.5 + 4e-6 * 4 * 255


def test_the_crops_of_a_batch_are_independent(random_images):
    images = random_images(4)
    boxes = torch.tensor([[0., 31, 5, 16], [0, 31, 8, 2], [32, 1, 20, 9]])
    same(resized_crop(images, *boxes),
         [TF.resized_crop(image, *box, box[-1], [SIZE, SIZE], antialias=True)
          for image, box in zip(images, boxes.int().T.tolist(), strict=True)])


@pytest.mark.parametrize('scale', [(0.25, 1.), (0.75, 1.), (0.08, 0.3)])
def test_crops_are_drawn_as_torchvision_draws_them(
        random_images, monkeypatch, assert_independent, assert_shares, assert_alike, scale):
    top, left, side = boxes_of(random_images(40), 150, scale, monkeypatch)
    expected = torch.tensor([
        T.RandomResizedCrop.get_params(torch.empty(3, SIZE, SIZE), scale, (1, 1))
        for _ in range(6000)])
    assert_alike(side, expected[:, 2])
    # Side k is the rounded root of an area between (k - 1/2)^2 and (k + 1/2)^2.
    edges = ((torch.arange(SIZE + 2) - 0.5).clamp(min=0) ** 2 / SIZE ** 2).clamp(*scale)
    probabilities = edges.diff() / (scale[1] - scale[0])
    likely = probabilities * side.numel() > 5
    assert side.unique().tolist() == [float(k) for k in probabilities.nonzero()[:, 0]]
    kept = likely[side.long()]
    assert_shares(side[kept], torch.where(likely, probabilities, 0) / probabilities[likely].sum())
    assert_independent(side)
    room = SIZE - side
    for start, column in ((top, 0), (left, 1)):
        assert (start >= 0).all() and (start <= room).all()
        assert_alike(start, expected[:, column])
        for k in side.unique():
            places = int(SIZE - k) + 1
            drawn = start[side == k]
            if 1 < places < len(drawn) / 5:
                assert_shares(drawn, torch.full((places,), 1 / places))
        # In -1/2..1/2, independent of the side and of other images.
        assert_independent(torch.where(room > 0, start / room.clamp(min=1) - 0.5, 0))
    both = room > 0
    apart = torch.corrcoef(torch.stack([(top / room)[both], (left / room)[both]]))[0, 1]
    assert abs(apart) < 4 / int(both.sum()) ** 0.5


def test_a_crop_of_the_whole_image_changes_nothing(random_images):
    images = random_images(6)
    same(BatchRandomResizedCrop((1., 1.))(images), images)


@pytest.mark.parametrize('transform', [
    BatchRandomCrop(2), BatchRandomFlip(1.), BatchRandomResizedCrop((0.5, 0.5))])
def test_the_input_batch_is_not_changed(random_images, transform):
    images = random_images(4)
    given = images.clone()
    out = transform(images)
    assert out.dtype == torch.uint8 and out.shape == images.shape
    assert not torch.equal(out, images)
    assert torch.equal(images, given)

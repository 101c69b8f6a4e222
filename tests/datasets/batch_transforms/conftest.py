"""Images to transform, and statistical tests of random draws."""
import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from torch.nn import functional as F


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def random_images():
    """Make uint8 images (N, 3, H, W), alternately noise and smooth colors."""
    def make(count, height=32, width=32):
        generator = torch.Generator().manual_seed(1)
        noise = torch.rand(count, 3, height, width, generator=generator)
        coarse = torch.rand(count, 3, 5, 5, generator=generator)
        smooth = F.interpolate(coarse, (height, width), mode='bilinear')
        even = (torch.arange(count) % 2 == 0)[:, None, None, None]
        return (256 * torch.where(even, noise, smooth)).to(torch.uint8)
    return make


@pytest.fixture(scope='session')
def numbered():
    """Make identical images whose pixels are (row, column, 255)."""
    def make(count, height, width):
        row = torch.arange(height)[:, None].expand(-1, width)
        column = torch.arange(width)[None].expand(height, -1)
        image = torch.stack([row, column, torch.full_like(row, 255)]).to(torch.uint8)
        return image.expand(count, -1, -1, -1)
    return make


@pytest.fixture(scope='session')
def assert_independent():
    """Check that draws (calls, images) are independent within rows and within columns."""
    def check(draws):
        draws = torch.as_tensor(draws).double().numpy()
        assert len(set(draws.sum(1))) > 1  # calls differ
        assert len(set(draws.sum(0))) > 1  # images of a call differ
        for a, b in ((draws[:, 1:], draws[:, :-1]), (draws[1:], draws[:-1]),
                     (draws[:, ::-1][:, :draws.shape[1] // 2],
                      draws[:, :draws.shape[1] // 2])):
            # Four standard deviations of the correlation of that many pairs.
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / a.size ** 0.5
    return check


@pytest.fixture(scope='session')
def assert_shares():
    """Check the numbers of draws of 0, 1, 2... against their probabilities (chi-square)."""
    def check(draws, probabilities):
        probabilities = torch.as_tensor(probabilities).double().numpy()
        probabilities = probabilities / probabilities.sum()  # removes float32 rounding errors
        counts = np.bincount(np.asarray(draws).astype(int).ravel(), minlength=len(probabilities))
        assert len(counts) == len(probabilities), 'drawn beyond the range'
        assert not counts[probabilities == 0].any()
        possible = probabilities > 0
        expected = counts.sum() * probabilities[possible]
        assert expected.min() > 5  # below that, chi-square is not reliable
        assert chisquare(counts[possible], expected).pvalue > 1e-3
    return check


@pytest.fixture(scope='session')
def assert_alike():
    """Check that two lists of integers have the same distribution (chi-square)."""
    def check(actual, expected):
        actual, expected = (np.asarray(each).astype(int).ravel() for each in (actual, expected))
        length = max(actual.max(), expected.max()) + 1
        counts = np.stack([np.bincount(each, minlength=length) for each in (actual, expected)])
        counts = counts[:, counts.sum(0) > 0]
        assert chi2_contingency(counts).pvalue > 1e-3
    return check

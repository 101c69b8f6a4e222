"""Images to transform, and what random draws should look like."""
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
    """Make uint8 images (N, 3, H, W): in turn noise, and colors that run smoothly."""
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
    """Make equal images whose pixels hold their row, their column and 255."""
    def make(count, height, width):
        row = torch.arange(height)[:, None].expand(-1, width)
        column = torch.arange(width)[None].expand(height, -1)
        image = torch.stack([row, column, torch.full_like(row, 255)]).to(torch.uint8)
        return image.expand(count, -1, -1, -1)
    return make


@pytest.fixture(scope='session')
def assert_independent():
    """Check draws (calls, images): no two of a row go together, nor two of a column."""
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
    """Check how often 0, 1, 2... were drawn against their probabilities."""
    def check(draws, probabilities):
        probabilities = torch.as_tensor(probabilities).double().numpy()
        probabilities = probabilities / probabilities.sum()  # of float32 roundings
        counts = np.bincount(np.asarray(draws).astype(int).ravel(), minlength=len(probabilities))
        assert len(counts) == len(probabilities), 'drawn beyond the range'
        assert not counts[probabilities == 0].any()
        possible = probabilities > 0
        expected = counts.sum() * probabilities[possible]
        assert expected.min() > 5  # else chi-square says little
        assert chisquare(counts[possible], expected).pvalue > 1e-3
    return check


@pytest.fixture(scope='session')
def assert_alike():
    """Check that two lists of whole numbers were drawn alike (chi-square of both counts)."""
    def check(ours, theirs):
        ours, theirs = (np.asarray(each).astype(int).ravel() for each in (ours, theirs))
        length = max(ours.max(), theirs.max()) + 1
        counts = np.stack([np.bincount(each, minlength=length) for each in (ours, theirs)])
        counts = counts[:, counts.sum(0) > 0]
        assert chi2_contingency(counts).pvalue > 1e-3
    return check

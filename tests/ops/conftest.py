import pytest
import torch

from benchmarks.accuracy import unwritten_memory_is_nan, without_tf32


@pytest.fixture(autouse=True)
def seeded_and_strict():
    torch.manual_seed(0)
    with unwritten_memory_is_nan(), without_tf32():
        assert torch.empty(8).isnan().all()
        yield

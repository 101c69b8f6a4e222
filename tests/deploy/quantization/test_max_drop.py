"""The choice of layers that stay in floating point."""
import numpy as np
import pytest

from mmconvmixer.deploy.quantization.max_drop import RANKED_ON, keep_worst, rank

COSTS = dict(a=1., b=8., c=0.5, d=4., e=2.)
BATCHES = [np.ones((1, 1), np.float32)] * (RANKED_ON + 1)


def quantize(batches, keep):
    """A network is the total cost of its int8 layers, and the number of calibration images."""
    return sum(cost for name, cost in COSTS.items() if name not in keep), len(batches)


def runner(network):
    return lambda images: images + network[0]


def float_run(images):
    return images


def test_the_worst_layer_comes_first():
    assert rank(COSTS, quantize, runner, float_run, BATCHES) == ['b', 'd', 'e', 'a', 'c']


@pytest.mark.parametrize('allowed, kept', [
    (8, 'b'), (7.5, 'b'), (7.4, 'bd'), (3.5, 'bd'), (1.5, 'bde'), (0.5, 'bdea'), (0, 'bdeac')])
def test_no_more_layers_than_needed_are_kept(allowed, kept):
    network, names = keep_worst(COSTS, quantize, runner, float_run, BATCHES,
                                lambda network: network[0] <= allowed)
    assert names == list(kept)
    assert network == (sum(COSTS.values()) - sum(COSTS[name] for name in kept), len(BATCHES))


def test_where_nothing_is_enough_all_are_kept():
    _, names = keep_worst(COSTS, quantize, runner, float_run, BATCHES, lambda network: False)
    assert sorted(names) == sorted(COSTS)

"""Choose the layers that stay in floating point to keep the accuracy."""
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np

from mmconvmixer.deploy.quantization.accuracy import Run

RANKED_ON = 64  # images

Quantize = Callable[[list[np.ndarray], Collection[str]], Any]


def keep_worst(names: Iterable[str], quantize: Quantize, runner: Callable[[Any], Run],
               float_run: Run, batches: list[np.ndarray], fits: Callable[[Any], bool]
               ) -> tuple[Any, list[str]]:
    """Return an int8 network that is accurate enough, with few layers in floating point.

    Args:
        names: the layers.
        quantize: (batches, layers in floating point) -> network.
        runner: network -> its function images -> outputs.
        float_run: the function of the network in floating point.
        batches: for calibration, (N, C, H, W) float32, normalized.
        fits: network -> whether it is accurate enough.

    Returns:
        The network, and the layers in floating point, the worst first. These are all
        layers if nothing less was enough; then the caller has to check the network.
    """
    worst_first = rank(names, quantize, runner, float_run, batches[:RANKED_ON])

    def attempt(count: int) -> tuple[Any, bool]:
        network = quantize(batches, worst_first[:count])
        return network, fits(network)

    too_few, count = 0, 1
    network, enough = attempt(count)
    while not enough and count < len(worst_first):
        too_few, count = count, min(2 * count, len(worst_first))
        network, enough = attempt(count)
    while enough and count - too_few > 1:
        middle = (too_few + count) // 2
        candidate, enough_too = attempt(middle)
        if enough_too:
            network, count = candidate, middle
        else:
            too_few = middle
    return network, worst_first[:count]


def rank(names: Iterable[str], quantize: Quantize, runner: Callable[[Any], Run],
         float_run: Run, batches: list[np.ndarray]) -> list[str]:
    """Return the layers, sorted by how much their quantization alone changes the outputs."""
    names, images = list(names), np.concatenate(batches)
    expected = float_run(images)
    errors = {}
    for name in names:
        run = runner(quantize(batches, [each for each in names if each != name]))
        errors[name] = float(np.linalg.norm(run(images) - expected))
    return sorted(names, key=errors.get, reverse=True)

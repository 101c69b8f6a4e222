"""Which layers of an ONNX network stay in float32, so that its accuracy does."""
import numpy as np

from mmconvmixer.deploy.quantisation import onnx_graph
from mmconvmixer.deploy.quantisation.accuracy import TestSet, top1
from mmconvmixer.deploy.quantisation.onnxruntime_int8 import int8_graph, runner

RANKED_ON = 16  # pictures


def int8_graph_within(model, batches: list[np.ndarray], test_set: TestSet, max_drop: float,
                      before: float) -> tuple:
    """Return a prepared graph in int8, as many of its worst layers in float32 as it takes.

    Args:
        model, batches: see `int8_graph`.
        test_set: what top-1 is measured on.
        max_drop: of top-1, in points.
        before: top-1 of the network in float32.

    Returns:
        The `onnx.ModelProto`; the layers in float32, the worst first (all of them if
        nothing less was enough); its top-1 in percent.
    """
    worst_first = rank(model, batches[:RANKED_ON])
    count = 1
    while True:
        keep = worst_first[:count]
        graph = int8_graph(model, batches, keep)
        after = top1(dict(it=runner(graph)), test_set)['it']
        if before - after <= max_drop or count >= len(worst_first):
            return graph, keep, after
        count *= 2


def rank(model, batches: list[np.ndarray]) -> list[str]:
    """Return the layers, first the one whose quantisation alone changes the outputs most."""
    images = np.concatenate(batches)
    expected = runner(model)(images)
    names = list(onnx_graph.layers(model))
    errors = {}
    for name in names:
        alone = int8_graph(model, batches, keep=[each for each in names if each != name])
        errors[name] = float(np.linalg.norm(runner(alone)(images) - expected))
    return sorted(names, key=errors.get, reverse=True)

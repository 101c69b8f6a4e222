"""Metrics over what could be read."""
from collections.abc import Sequence
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.evaluator import Evaluator as MMEngineEvaluator


class Evaluator(MMEngineEvaluator):
    """mmengine's `Evaluator`, which leaves out samples marked `unreadable`.

    Its metrics collect results in the order of the samplers and cut off the
    padding at the end; with samples missing, ranks hold unequal numbers and
    that would drop others too. Results are then dealt out anew, by sample.
    """

    def __init__(self, metrics: Any):
        super().__init__(metrics)
        self._kept: list[int] = []
        self._left_out = 0

    def process(self, data_samples: Sequence, data_batch: Any = None) -> None:
        kept = [sample for sample in data_samples if not sample.get('unreadable')]
        self._left_out += len(data_samples) - len(kept)
        self._kept += [sample.get('sample_idx') for sample in kept]
        super().process(kept, data_batch)

    def evaluate(self, size: int) -> dict:
        if sum(all_gather_object(self._left_out)):
            size = self._deal_out()
        self._kept, self._left_out = [], 0
        return super().evaluate(size)

    def _deal_out(self) -> int:
        """Give each rank every world_size-th result; return how many there are."""
        rank, world_size = get_rank(), get_world_size()
        for metric in self.metrics:
            by_sample: dict[int, Any] = {}
            for pairs in all_gather_object(list(zip(self._kept, metric.results, strict=True))):
                by_sample.update(pairs)
            merged = [by_sample[sample] for sample in sorted(by_sample)]
            size = len(merged)
            padding = -size % world_size
            metric.results = (merged + merged[:1] * padding)[rank::world_size]
        return size

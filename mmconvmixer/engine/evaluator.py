"""Metrics over the images that could be read."""
from collections.abc import Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.evaluator import Evaluator as MMEngineEvaluator


class Evaluator(MMEngineEvaluator):
    """mmengine's `Evaluator`, without the samples marked `unreadable`.

    mmengine's metrics interleave the results of all ranks and cut the padding off at the
    end. When samples are missing, ranks hold unequal numbers of results, and the cut
    would drop valid ones. Results are therefore redistributed by sample number first.

    Args:
        metrics: a metric or a list of metrics, or their configs.
    """

    def __init__(self, metrics: Any) -> None:
        super().__init__(metrics)
        for metric in self.metrics:
            # 'gpu' collects through memory; 'cpu' through files, which needs a disk
            # that all machines share.
            metric.collect_device = 'gpu'
        self._forget()

    def process(self, data_samples: Sequence, data_batch: Any = None) -> None:
        """Pass the readable samples of a batch to the metrics."""
        readable = [not sample.get('unreadable') for sample in data_samples]
        self._readable += readable
        super().process(list(compress(data_samples, readable)), data_batch)

    def evaluate(self, size: int) -> dict:
        """Return the metrics of a dataset of `size` samples."""
        if not all(all_gather_object(all(self._readable))):
            size = self._deal_out(size)
        self._forget()
        return super().evaluate(size)

    def _forget(self) -> None:
        self._readable: list[bool] = []

    def _deal_out(self, size: int) -> int:
        """Give each rank every world_size-th result; return the number of results.

        As in mmengine, the n-th sample of rank r is sample n * world_size + r of the
        dataset, and numbers from `size` on are padding.
        """
        rank, world_size = get_rank(), get_world_size()
        numbers = range(rank, rank + world_size * len(self._readable), world_size)
        kept = list(compress(numbers, self._readable))
        for metric in self.metrics:
            pairs = chain(*all_gather_object(list(zip(kept, metric.results, strict=True))))
            merged = [result for number, result in sorted(pairs, key=itemgetter(0))
                      if number < size]
            padding = -len(merged) % world_size
            metric.results = (merged + merged[:1] * padding)[rank::world_size]
        return len(merged)

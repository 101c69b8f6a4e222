"""Metrics over the images that could be read."""
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import itemgetter
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.evaluator import Evaluator as MMEngineEvaluator
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from mmpretrain.evaluation import Accuracy, ConfusionMatrix, SingleLabelMetric
from torch import Tensor

from mmconvmixer.engine.metrics import as_text, true_label
from mmconvmixer.errors import BadConfig

# mmpretrain's metrics for one label per image; of several labels they fail after the test.
_ONE_LABEL = (Accuracy, ConfusionMatrix, SingleLabelMetric)


class Evaluator(MMEngineEvaluator):
    """mmengine's `Evaluator`, without the samples marked `unreadable`.

    mmengine's metrics interleave the results of all ranks and cut the padding off at the
    end. When samples are missing, ranks hold unequal numbers of results, and the cut
    would drop valid ones. Results are therefore redistributed by sample number first.

    A metric may keep any number of results for a batch. Where that is not one per sample,
    all of them are kept, as nobody can know which belong to the padding.

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
        readable = _readable(data_samples, data_batch)
        first = len(self._kept)
        self._kept += readable
        samples = [sample.to_dict() if isinstance(sample, BaseDataElement) else sample
                   for sample in compress(data_samples, readable)]
        if not all(readable):
            data_batch = _chosen_batch(data_batch, readable)
        numbers = list(compress(range(first, len(self._kept)), readable))
        if not numbers:
            return
        for metric in self.metrics:
            if isinstance(metric, _ONE_LABEL):
                for sample in samples:
                    true_label(sample, type(metric).__name__)
            before = len(_results(metric))
            metric.process(data_batch, samples)
            self._owners[id(metric)].add(numbers, len(_results(metric)) - before)

    def evaluate(self, size: int) -> dict:
        """Return the metrics of a dataset of `size` samples."""
        sizes = [size] * len(self.metrics)
        if not all(all_gather_object(all(self._kept))):
            sizes = [self._deal_out(metric, self._owners[id(metric)], size)
                     for metric in self.metrics]
        self._forget()
        found: dict[str, Any] = {}
        for done, (metric, count) in enumerate(zip(self.metrics, sizes, strict=True)):
            try:
                _add(found, metric.evaluate(count), metric)
            except Exception:
                # The figures of the other metrics have taken the whole test set. (Other
                # processes would not take part in collecting them.)
                rest = zip(self.metrics[done + 1:], sizes[done + 1:], strict=True)
                for other, its_count in rest if get_world_size() == 1 else ():
                    with suppress(Exception):
                        _add(found, other.evaluate(its_count), other)
                if found:
                    print_log(f'{type(metric).__name__} failed; the other metrics are\n'
                              f'{as_text(found)}', 'current', logging.ERROR)
                raise
        return found

    def _forget(self) -> None:
        self._kept: list[bool] = []  # whether each sample of this rank could be read
        self._owners: dict[int, _Owners] = defaultdict(_Owners)  # by the id of the metric

    def _deal_out(self, metric: BaseMetric, owners: '_Owners', size: int) -> int:
        """Give each rank every world_size-th result; return the number of results.

        As in mmengine, the n-th sample of rank r is sample n * world_size + r of the
        dataset, and numbers from `size` on are padding.
        """
        rank, world_size = get_rank(), get_world_size()
        own = _results(metric)
        if len(own) != len(owners.numbers):  # the metric rearranges its results
            owners.numbers, owners.one_each = [0] * len(own), False
        results = [(number * world_size + rank, result) for number, result in
                   zip(owners.numbers, own, strict=True)]
        gathered = all_gather_object((results, owners.one_each))
        merged = sorted(chain(*(part for part, _ in gathered)), key=itemgetter(0))
        if all(one_each for _, one_each in gathered):
            merged = [(number, result) for number, result in merged if number < size]
        kept = [result for _, result in merged]
        padding = -len(kept) % world_size
        metric.results = (kept + kept[:1] * padding)[rank::world_size]
        return len(kept)


@dataclass
class _Owners:
    """To which samples of this rank the results of a metric belong.

    Attributes:
        numbers: for each result, the number of its sample among those of this rank; of the
            first sample of its batch, where results and samples do not pair.
        one_each: whether each sample has one result.
    """

    numbers: list[int] = field(default_factory=list)
    one_each: bool = True

    def add(self, samples: list[int], results: int) -> None:
        """Add the results of a batch."""
        self.one_each &= results == len(samples)
        self.numbers += samples if results == len(samples) else samples[:1] * results


def _results(metric: Any) -> list:
    """Return what a metric has kept; mmengine demands no such list of it."""
    return getattr(metric, 'results', [])


def _add(found: dict, values: dict, metric: Any) -> None:
    twice = [name for name in values if name in found]
    if twice:
        raise BadConfig(f'several metrics have a value {twice[0]}, the last of them '
                        f'{type(metric).__name__}; give each its own prefix')
    found.update(values)


def _readable(data_samples: Sequence, data_batch: Any) -> list[bool]:
    """Return which samples of a batch could be read.

    Predictions of a model for test-time augmentation may have lost the mark, so that those
    that went into the model are looked at, too.
    """
    given = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    if given and _are_views(given):
        given = given[0]
    if not given or len(given) != len(data_samples):
        given = data_samples
    return [not (_has_mark(one) or _has_mark(other))
            for one, other in zip(data_samples, given, strict=True)]


def _are_views(data_samples: Any) -> bool:
    """Whether a batch has lists of views, for test-time augmentation."""
    return isinstance(data_samples, list | tuple) and len(data_samples) > 0 and isinstance(
        data_samples[0], list | tuple)


def _has_mark(sample: Any) -> bool:
    return isinstance(sample, dict | BaseDataElement) and bool(sample.get('unreadable'))


def _chosen_batch(batch: Any, chosen: list[bool]) -> Any:
    """Return the chosen samples of a batch; with test-time augmentation, of each view."""
    if not isinstance(batch, dict):
        return batch
    if _are_views(batch.get('data_samples')):
        return {key: [_chosen(view, chosen) for view in views] for key, views in batch.items()}
    return {key: _chosen(value, chosen) for key, value in batch.items()}


def _chosen(values: Any, chosen: list[bool]) -> Any:
    if isinstance(values, Tensor) and len(values) == len(chosen):
        return values[chosen]
    if isinstance(values, list | tuple) and len(values) == len(chosen):
        return list(compress(values, chosen))
    return values

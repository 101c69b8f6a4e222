"""The work of `tools/benchmark_pipeline.py`: mmpretrain's test pipeline against this package's."""
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import mmpretrain.models
import torch
from mmengine.dataset import Compose, default_collate
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TRANSFORMS

from mmconvmixer._support.clock import in_turn, milliseconds, timed
from mmconvmixer.datasets import faster_pipeline
from mmconvmixer.datasets.image_files import image_files
from mmconvmixer.errors import EmptyDataset
from mmconvmixer.zoo.config import load_config, require

STAGES = ('decode', 'resize and crop', 'pack', 'collate and normalize')


class Preparation:
    """A pipeline, and what its batches go through before the network, stage by stage.

    Args:
        pipeline: configs of transforms: one that loads, those that shape, one that packs.
        preprocessor: of batches.
        batch_size: images in a batch.
    """

    def __init__(self, pipeline: Sequence[dict], preprocessor: torch.nn.Module,
                 batch_size: int) -> None:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.transforms = [TRANSFORMS.build(step) for step in pipeline]
        load, *shape, pack = self.transforms
        self.stages = load, Compose(shape), pack
        self.preprocessor = preprocessor
        self.batch_size = batch_size

    def batches(self, paths: Sequence[Path]) -> list[Sequence[Path]]:
        """Return the paths in batches."""
        return [paths[start:start + self.batch_size]
                for start in range(0, len(paths), self.batch_size)]

    def inputs(self, batch: Sequence[Path]) -> tuple[torch.Tensor, list[float]]:
        """Return the network's input (N, C, H, W) float32, and each stage's milliseconds."""
        samples, times = [], [0.] * len(STAGES)
        for path in batch:
            sample: Any = dict(img_path=str(path))
            for number, stage in enumerate(self.stages):
                sample, spent = timed(stage, sample, now=time.thread_time)
                times[number] += spent
            samples.append(sample)
        inputs, times[-1] = timed(lambda: self.preprocessor(default_collate(samples))['inputs'],
                                  now=time.thread_time)
        return inputs, times


def compare(folder: Path, config: str, images: int | None, batch_size: int, rounds: int,
            threads: int) -> Iterator[str]:
    """Check that both pipelines make the same inputs, time them in turn, and yield the lines.

    Args:
        folder: contains the images.
        config: path of a config, or name of a model.
        images: how many of them, evenly spaced; None for all.
        batch_size: images in a batch.
        rounds: timings of each pipeline.
        threads: how many prepare batches at the same time in the last part.

    Raises:
        EmptyDataset: the folder has no image.
    """
    paths = [folder / name for name in image_files(folder)]
    if not paths:
        raise EmptyDataset(f'{folder} has no image in it; give a folder with JPEG files')
    paths = paths[::max(1, len(paths) // images)][:images] if images else paths
    cfg = load_config(config)
    require(cfg, 'model', 'test_dataloader')
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    steps = cfg.test_dataloader.dataset.pipeline
    options = dict(cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {})
    options.pop('type', None)
    host = Preparation(steps, mmpretrain.models.ClsDataPreprocessor(**options), batch_size)
    own = Preparation(faster_pipeline(steps), MODELS.build(
        dict(options, type='mmpretrain.ClsDataPreprocessor')), batch_size)
    yield (f'torch {torch.__version__}, {len(paths)} images in batches of {batch_size}, '
           f'{rounds} rounds')
    yield 'here: ' + ', '.join(type(transform).__name__ for transform in own.transforms)
    largest = max(float((host.inputs(batch)[0] - own.inputs(batch)[0]).abs().max())
                  for batch in host.batches(paths))
    yield f'largest difference of a network input: {largest:g}'
    if largest != 0:
        raise SystemExit('the two make different inputs: their times are not compared')
    yield from _stage_lines(host, own, paths, rounds)
    yield from _thread_lines(host, own, paths, rounds, threads)


def _stage_lines(host: Preparation, own: Preparation, paths: Sequence[Path],
                 rounds: int) -> Iterator[str]:
    measured = in_turn({'mmpretrain': partial(_stage_times, host, paths),
                        'here': partial(_stage_times, own, paths)}, rounds)
    yield f'{"ms an image, one thread":26}{"mmpretrain":>20}{"here":>20}{"ratio":>7}'
    for name, *columns in zip((*STAGES, 'all'), *(zip(*rows, strict=True)
                                                  for rows in measured.values()), strict=True):
        before, after = (statistics.median(column) for column in columns)
        spread = [f'{statistics.median(column):.3f} ({min(column):.3f}-{max(column):.3f})'
                  for column in columns]
        yield f'{name:26}{spread[0]:>20}{spread[1]:>20}{before / after:7.2f}'
    ratios = sorted(before[-1] / after[-1] for before, after in
                    zip(*measured.values(), strict=True))
    yield (f'images/s a core: mmpretrain {1e3 / before:.0f}, here {1e3 / after:.0f}; '
           f'ratios of rounds {ratios[0]:.2f} to {ratios[-1]:.2f}')


def _stage_times(preparation: Preparation, paths: Sequence[Path]) -> list[float]:
    """Return the milliseconds per image of each stage, and of all together."""
    batches = [preparation.inputs(batch)[1] for batch in preparation.batches(paths)]
    stages = [sum(times) / len(paths) for times in zip(*batches, strict=True)]
    return [*stages, sum(stages)]


def _thread_lines(host: Preparation, own: Preparation, paths: Sequence[Path], rounds: int,
                  threads: int) -> Iterator[str]:
    measured = in_turn({
        (name, count): partial(_rate, preparation, paths, count) for count in (1, threads)
        for name, preparation in (('mmpretrain', host), ('here', own))}, rounds)
    for (name, count), rates in measured.items():
        yield (f'{count} thread{"s" * (count > 1)}, by the clock: {name} '
               f'{statistics.median(rates):.0f} images/s ({min(rates):.0f}-{max(rates):.0f})')


def _rate(preparation: Preparation, paths: Sequence[Path], threads: int) -> float:
    """Return the images per second that so many threads prepare."""
    with ThreadPoolExecutor(threads) as pool:
        spent = milliseconds(lambda: deque(
            pool.map(preparation.inputs, preparation.batches(paths)), maxlen=0), device='cpu')
    return 1e3 * len(paths) / spent

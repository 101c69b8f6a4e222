#!/usr/bin/env python
"""Time a config's test pipeline, from JPEG files to normalized batches: mmpretrain's and ours.

    python tools/benchmark_pipeline.py IMAGES

Both make the same numbers, which is checked first. Then they take turns, so that
what else the machine does hits both alike. The stages are timed in one thread by
the processor's time, which others on the machine change little; threads by the clock.
"""
import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import mmpretrain.models
import torch
from mmengine.dataset import default_collate
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TRANSFORMS

from mmconvmixer.cli.common import exit_code
from mmconvmixer.datasets import faster_pipeline
from mmconvmixer.datasets.image_files import image_files
from mmconvmixer.errors import EmptyDataset
from mmconvmixer.zoo.config import load_config, require

STAGES = ('decode', 'resize and crop', 'pack', 'collate and normalize')


class Preparation:
    """A pipeline and what its batches go through before the network, stage by stage.

    Args:
        pipeline: configs of transforms.
        preprocessor: of batches.
        batch_size: images in a batch.
    """

    def __init__(self, pipeline: Sequence[dict], preprocessor: torch.nn.Module, batch_size: int):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.load, *self.shape, self.pack = [TRANSFORMS.build(step) for step in pipeline]
        self.preprocessor = preprocessor
        self.batch_size = batch_size

    def batches(self, paths: Sequence[Path]) -> list[Sequence[Path]]:
        return [paths[start:start + self.batch_size]
                for start in range(0, len(paths), self.batch_size)]

    def inputs(self, batch: Sequence[Path], seconds: list[float]) -> torch.Tensor:
        """Return (N, C, H, W) float32, and add each stage's time to `seconds`."""
        samples = []
        for path in batch:
            times = [time.thread_time()]
            sample = self.load(dict(img_path=str(path)))
            times.append(time.thread_time())
            for transform in self.shape:
                sample = transform(sample)
            times.append(time.thread_time())
            samples.append(self.pack(sample))
            times.append(time.thread_time())
            for stage in range(3):
                seconds[stage] += times[stage + 1] - times[stage]
        start = time.thread_time()
        inputs = self.preprocessor(default_collate(samples))['inputs']
        seconds[3] += time.thread_time() - start
        return inputs


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='of images')
    parser.add_argument('--config', default='convmixer-768-32_3rdparty_in1k',
                        help='path of a config, or name of a model (default: %(default)s)')
    parser.add_argument('--images', type=int, help='as many, evenly spaced (default: all)')
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=9, help='timings of each')
    parser.add_argument('--threads', type=int, default=2)
    return parser.parse_args(argv)


def run(folder: Path, config: str, images: int | None, batch_size: int, rounds: int,
        threads: int) -> None:
    paths = sorted(folder / name for name in image_files(folder))
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
    theirs = Preparation(steps, mmpretrain.models.ClsDataPreprocessor(**options), batch_size)
    ours = Preparation(faster_pipeline(steps), MODELS.build(
        dict(options, type='mmpretrain.ClsDataPreprocessor')), batch_size)
    print(f'torch {torch.__version__}, {len(paths)} images in batches of {batch_size}, '
          f'{rounds} rounds')
    print('ours: ' + ', '.join(type(transform).__name__ for transform in
                               (ours.load, *ours.shape, ours.pack)))
    check(theirs, ours, paths)
    time_stages(theirs, ours, paths, rounds)
    time_threads(theirs, ours, paths, rounds, threads)


def check(theirs: Preparation, ours: Preparation, paths: Sequence[Path]) -> None:
    ignored = [0.] * len(STAGES)
    largest = max(float((theirs.inputs(batch, ignored) - ours.inputs(batch, ignored)).abs().max())
                  for batch in theirs.batches(paths))
    print(f'largest difference of a network input: {largest:g}')
    if largest != 0:
        raise SystemExit('the two make different inputs: their times are not compared')


def time_stages(theirs: Preparation, ours: Preparation, paths: Sequence[Path],
                rounds: int) -> None:
    measured = {theirs: [], ours: []}
    for _ in range(rounds):
        for preparation, rows in measured.items():
            seconds = [0.] * len(STAGES)
            for batch in preparation.batches(paths):
                preparation.inputs(batch, seconds)
            rows.append([1e3 * value / len(paths) for value in (*seconds, sum(seconds))])
    print(f'{"ms an image, one thread":26}{"mmpretrain":>20}{"here":>20}{"ratio":>7}')
    for name, *columns in zip((*STAGES, 'all'), *(zip(*rows, strict=True)
                                                  for rows in measured.values()), strict=True):
        before, after = (statistics.median(column) for column in columns)
        spread = [f'{statistics.median(column):.3f} ({min(column):.3f}-{max(column):.3f})'
                  for column in columns]
        print(f'{name:26}{spread[0]:>20}{spread[1]:>20}{before / after:7.2f}')
    ratios = sorted(before[-1] / after[-1] for before, after in
                    zip(*measured.values(), strict=True))
    print(f'images/s a core: mmpretrain {1e3 / before:.0f}, here {1e3 / after:.0f}; '
          f'ratios of rounds {ratios[0]:.2f} to {ratios[-1]:.2f}')


def time_threads(theirs: Preparation, ours: Preparation, paths: Sequence[Path], rounds: int,
                 threads: int) -> None:
    rates = {(name, count): [] for count in (1, threads) for name in ('mmpretrain', 'here')}
    for _ in range(rounds):
        for name, count in rates:
            preparation = ours if name == 'here' else theirs
            with ThreadPoolExecutor(count) as pool:
                start = time.perf_counter()
                for _ in pool.map(lambda batch, making=preparation: making.inputs(
                        batch, [0.] * len(STAGES)), preparation.batches(paths)):
                    pass
                rates[name, count].append(len(paths) / (time.perf_counter() - start))
    for (name, count), values in rates.items():
        print(f'{count} thread{"s" * (count > 1)}, by the clock: {name} '
              f'{statistics.median(values):.0f} images/s ({min(values):.0f}-{max(values):.0f})')


def main(argv=None) -> int:
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    sys.exit(main())

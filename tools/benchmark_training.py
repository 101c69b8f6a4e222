#!/usr/bin/env python
"""Time training steps fed by a config's data loader against steps on one fixed batch.

    python tools/benchmark_training.py configs/convmixer/convmixer-128-4_cifar10.py

Both train the same network in turn, so that what else the machine does hits both
alike. The ratio is what reading and augmenting costs.
"""
import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import chain, repeat
from tempfile import TemporaryDirectory

import torch
from mmengine.device import get_device

from mmconvmixer.cli.common import exit_code
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.engine import Runner
from mmconvmixer.engine.cpu import flush_denormals, keep_freed_memory
from mmconvmixer.zoo.config import load_config, require


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or name of a model')
    parser.add_argument('--rounds', type=int, default=15, help='timings of each')
    parser.add_argument('--steps', type=int, default=10, help='training steps of a timing')
    return parser.parse_args(argv)


def run(config: str, rounds: int, steps: int) -> None:
    if get_device() == 'cpu':
        flush_denormals()
    cfg = load_config(config)
    require(cfg, 'model', 'train_dataloader', 'optim_wrapper')
    fill_in(cfg, ['train_dataloader'])
    for name in ('val', 'test'):
        cfg[f'{name}_dataloader'] = cfg[f'{name}_cfg'] = cfg[f'{name}_evaluator'] = None
    with TemporaryDirectory(ignore_cleanup_errors=True) as cfg.work_dir:
        cfg.log_level = 'WARNING'
        runner = Runner.from_cfg(cfg)
        loader = runner.build_dataloader(cfg.train_dataloader)
        if get_device() == 'cpu':
            keep_freed_memory()
        runner.model.train()
        optimizer = runner.build_optim_wrapper(cfg.optim_wrapper)
        compare(runner.model, optimizer, loader, rounds, steps)


def compare(model: torch.nn.Module, optimizer, loader, rounds: int, steps: int) -> None:
    fed = chain.from_iterable(repeat(loader))
    images, samples = model.data_preprocessor(next(fed), True).values()
    seconds_of(model, optimizer, fed, 3)
    pairs = []
    for _ in range(rounds):
        fixed = seconds_on(model, optimizer, images, samples, steps)
        pairs.append((fixed, seconds_of(model, optimizer, fed, steps)))
    fixed, fed = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(after / before for before, after in pairs)
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, batch {len(samples)}: '
          f'fixed batch {1e3 * fixed / steps:.1f} ms a step, from the loader '
          f'{1e3 * fed / steps:.1f} ms; median ratio {statistics.median(ratios):.3f}, '
          f'{ratios[0]:.2f} to {ratios[-1]:.2f} ({rounds} rounds of {steps})')


def seconds_of(model, optimizer, batches: Iterator[dict], steps: int) -> float:
    """Return the time of as many whole training steps."""
    start = time.perf_counter()
    for _ in range(steps):
        model.train_step(next(batches), optimizer)
    synchronize()
    return time.perf_counter() - start


def seconds_on(model, optimizer, images: torch.Tensor, samples: list, steps: int) -> float:
    """Return the time of as many steps on one batch that is ready for the network."""
    start = time.perf_counter()
    for _ in range(steps):
        with optimizer.optim_context(model):
            losses = model(images, samples, mode='loss')
        optimizer.update_params(model.parse_losses(losses)[0])
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main(argv=None) -> int:
    return exit_code(lambda: run(**vars(parse_args(argv))))


if __name__ == '__main__':
    sys.exit(main())

"""The work of `tools/benchmark_training.py`: steps fed by a data loader against a fixed batch."""
import statistics
from collections.abc import Iterator
from itertools import chain, repeat
from tempfile import TemporaryDirectory

import torch
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch.utils.data import DataLoader

from mmconvmixer._support.clock import time_in_turn
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.engine import Runner
from mmconvmixer.engine.cpu import flush_denormals, keep_freed_memory
from mmconvmixer.zoo.config import load_config, require


def compare(config: str, rounds: int, steps: int) -> str:
    """Time both kinds of steps; return the figures in one line.

    Args:
        config: path of a config, or name of a model.
        rounds: timings of each kind.
        steps: training steps in a timing.
    """
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
        optim_wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
        return _compare(runner.model, optim_wrapper, loader, rounds, steps)


def _compare(model: BaseModel, optim_wrapper: OptimWrapper, loader: DataLoader, rounds: int,
             steps: int) -> str:
    batches: Iterator[dict] = chain.from_iterable(repeat(loader))
    images, samples = model.data_preprocessor(next(batches), True).values()

    def steps_on_fixed_batch() -> None:
        for _ in range(steps):
            with optim_wrapper.optim_context(model):
                losses = model(images, samples, mode='loss')
            optim_wrapper.update_params(model.parse_losses(losses)[0])

    def steps_from_loader() -> None:
        for _ in range(steps):
            model.train_step(next(batches), optim_wrapper)

    timings = time_in_turn(dict(fixed=steps_on_fixed_batch, loader=steps_from_loader), rounds,
                           warm_up=1)
    fixed, from_loader = (timings[name].median / steps for name in ('fixed', 'loader'))
    ratios = timings['loader'].ratios_to(timings['fixed'])
    return (f'torch {torch.__version__}, {torch.get_num_threads()} threads, batch {len(samples)}: '
            f'fixed batch {fixed:.1f} ms a step, from the loader {from_loader:.1f} ms; '
            f'median ratio {statistics.median(ratios):.3f}, {ratios[0]:.2f} to {ratios[-1]:.2f} '
            f'({rounds} rounds of {steps})')

#!/usr/bin/env python
"""Time training steps with sharpness-aware minimisation against plain ones.

    python tools/benchmark_sam.py configs/convmixer/convmixer-64-4_digits.py --batch-size 64

Both train the same network on the same random images with AdamW, step by step in
turn, so that what else the machine does hits both alike.
"""
import argparse
import statistics
import time
from copy import deepcopy

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample

from mmconvmixer import get_model
from mmconvmixer.cli.common import exit_code
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.engine import SAMOptimWrapper


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or name of a model')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--steps', type=int, default=30, help='of each, behind three to warm up')
    parser.add_argument('--adaptive', action='store_true', help='ASAM')
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    model = get_model(args.config).train()
    preprocessing = preprocessing_of(model)
    torch.manual_seed(0)
    images = torch.randn(args.batch_size, preprocessing.in_channels, *preprocessing.image_size)
    classes = model.head.fc.out_features
    batch = dict(inputs=images, mode='loss', data_samples=[
        DataSample().set_gt_label(number % classes) for number in range(args.batch_size)])
    other = deepcopy(model)
    plain = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-4))
    sharp = SAMOptimWrapper(torch.optim.AdamW(other.parameters(), lr=1e-4), adaptive=args.adaptive)
    times = [(seconds(model, plain, batch), seconds(other, sharp, batch))
             for _ in range(args.steps + 3)][3:]
    before, after = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = sorted(two / one for one, two in times)
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, batch '
          f'{args.batch_size}: plain {1e3 * before:.1f} ms a step, SAM {1e3 * after:.1f} ms; '
          f'median ratio {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f} '
          f'({args.steps} of each)')


def seconds(model: torch.nn.Module, optim_wrapper: OptimWrapper, batch: dict) -> float:
    start = time.perf_counter()
    with optim_wrapper.optim_context(model):
        losses = model(**batch)
    optim_wrapper.update_params(model.parse_losses(losses)[0])
    return time.perf_counter() - start


def main(argv=None) -> int:
    args = parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == '__main__':
    raise SystemExit(main())

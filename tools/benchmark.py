#!/usr/bin/env python
"""Time this backbone's eager forward pass against mmpretrain's, in one run.

    python tools/benchmark.py --arch 768/32 --batch-sizes 1 8 --rounds 15

Both nets hold the same weights, their outputs are compared first, and the two
are timed in turn, so that what else the machine does hits both alike.
"""
import argparse
import platform
import statistics
import sys
import time

import torch
from mmpretrain.models.backbones.convmixer import ConvMixer as TheirConvMixer

from mmconvmixer.models import ARCHS, ConvMixer


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='768/32', choices=ARCHS)
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--image-size', type=int, default=224)
    parser.add_argument('--rounds', type=int, default=15, help='timings of each net')
    return parser.parse_args(argv)


def build_pair(name: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    arch = ARCHS[name]
    sizes = {key: getattr(arch, key)
             for key in ('embed_dims', 'depth', 'patch_size', 'kernel_size')}
    theirs = TheirConvMixer(sizes, act_cfg=dict(type=arch.act))
    ours = ConvMixer(name)
    ours.load_state_dict(theirs.state_dict())
    theirs.eval()
    return theirs, ours.eval()


def seconds(net: torch.nn.Module, images: torch.Tensor) -> float:
    start = time.perf_counter()
    net(images)
    return time.perf_counter() - start


@torch.no_grad()
def main(argv=None) -> int:
    args = parse_args(argv)
    theirs, ours = build_pair(args.arch)
    print(f'ConvMixer-{args.arch} at {args.image_size}, torch {torch.__version__}, '
          f'{torch.get_num_threads()} threads, {platform.processor() or platform.machine()}')
    for batch_size in args.batch_sizes:
        images = torch.randn(batch_size, 3, args.image_size, args.image_size)
        torch.testing.assert_close(ours(images)[0], theirs(images)[0].contiguous(
            memory_format=torch.channels_last), rtol=1e-4, atol=1e-5)
        pairs = [(seconds(theirs, images), seconds(ours, images)) for _ in range(args.rounds)]
        medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
        ratios = sorted(before / after for before, after in pairs)
        print(f'batch {batch_size:3d}: mmpretrain {batch_size / medians[0]:7.2f} img/s, here '
              f'{batch_size / medians[1]:7.2f} img/s, ratio of medians '
              f'{medians[0] / medians[1]:.2f}, of pairs {ratios[0]:.2f} to {ratios[-1]:.2f} '
              f'({args.rounds} rounds)')
    return 0


if __name__ == '__main__':
    sys.exit(main())

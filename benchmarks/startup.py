"""Time the start-up of tools/test.py in two checkouts, in turn.

    python -m benchmarks.startup BEFORE AFTER --rounds 7

Start-up ends when the first batch reaches the network: ConvMixer-768/32 with random
weights, on four small images. The checkpoint, the images and the configs are written
into a temporary folder.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

CONFIG = """
_base_ = ['{root}/configs/convmixer/convmixer-768-32_10xb64_in1k.py']
test_dataloader = dict(
    batch_size=4, num_workers=0,
    dataset=dict(
        _delete_=True, type='CustomDataset', data_root='{folder}/images',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=233, edge='short', backend='pillow',
                 interpolation='bicubic'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='PackInputs')]))
"""


def main(argv: list[str] | None = None) -> None:
    """Print the medians of both checkouts and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('before', type=Path, help='folder of a checkout')
    parser.add_argument('after', type=Path, help='folder of another')
    parser.add_argument('--rounds', type=int, default=7, help='starts of each')
    args = parser.parse_args(argv)
    roots = [args.before.resolve(), args.after.resolve()]
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_inputs(folder, roots[-1])
        starts: list[list[dict]] = [[], []]
        for number in range(args.rounds + 1):
            for root, found in zip(roots, starts, strict=True):
                figures = _start(root, folder)
                if number:  # the first round fills caches
                    found.append(figures)
    for root, found in zip(roots, starts, strict=True):
        print(f'{root}: {_median(found, "seconds"):.2f} s to the first batch '
              f'({min(each["seconds"] for each in found):.2f} to '
              f'{max(each["seconds"] for each in found):.2f}), '
              f'{_median(found, "processor_seconds"):.2f} s of processor time; '
              f'{found[0]["builds"]} builds of the backbone, {found[0]["reads"]} reads of the '
              f'checkpoint in {_median(found, "reading_seconds"):.3f} s')
    for key in ('seconds', 'processor_seconds', 'reading_seconds'):
        ratios = [after[key] / before[key] for before, after in zip(*starts, strict=True)]
        print(f'{key}: median ratio {statistics.median(ratios):.3f}, '
              f'{min(ratios):.3f} to {max(ratios):.3f} in {args.rounds} rounds')


def _median(found: list[dict], key: str) -> float:
    return statistics.median(each[key] for each in found)


def _write_inputs(folder: Path, root: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(4):
        path = folder / f'images/class{number % 2}/{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    code = ('import sys, torch; from mmconvmixer import get_model; torch.save(dict(state_dict='
            'get_model("convmixer-768-32_3rdparty_in1k").state_dict(), meta={}), sys.argv[1])')
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code, folder / 'random.pth'], cwd=root,
                   env={**os.environ, 'PYTHONPATH': str(root)}, check=True)


def _start(root: Path, folder: Path) -> dict:
    config = folder / 'config.py'
    config.write_text(CONFIG.format(root=root, folder=folder))
    command = [sys.executable, '-W', 'ignore', Path(__file__).resolve(), '--child', root, config,
               folder / 'random.pth', folder / 'work', repr(time.time())]
    done = subprocess.run(command, cwd=folder, env={**os.environ, 'PYTHONPATH': str(root)},
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _child(root: str, config: str, checkpoint: str, work_dir: str, started: str) -> None:
    """Run tools/test.py up to the first batch, print the figures, and end the process."""
    import runpy

    from mmengine.model import BaseModel, BaseModule
    builds, reads = [], []
    init, load = BaseModule.__init__, torch.load

    def counted_init(self: BaseModule, *args: object, **options: object) -> None:
        if type(self).__name__ == 'ConvMixer':
            builds.append(self)
        init(self, *args, **options)

    def timed_load(*args: object, **options: object) -> object:
        start = time.perf_counter()
        try:
            return load(*args, **options)
        finally:
            reads.append(time.perf_counter() - start)

    def end(model: BaseModel, data: object) -> None:
        print('\n' + json.dumps(dict(
            seconds=time.time() - float(started), processor_seconds=time.process_time(),
            builds=len(builds), reads=len(reads), reading_seconds=sum(reads))), flush=True)
        os._exit(0)

    BaseModule.__init__, torch.load, BaseModel.test_step = counted_init, timed_load, end
    sys.argv = ['test.py', config, checkpoint, '--work-dir', work_dir]
    sys.path[0] = root  # not benchmarks/
    runpy.run_path(f'{root}/tools/test.py', run_name='__main__')


if __name__ == '__main__':
    if sys.argv[1:2] == ['--child']:
        _child(*sys.argv[2:])
    else:
        main()

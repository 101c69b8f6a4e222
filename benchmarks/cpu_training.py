"""Time training steps on a CPU: this checkout, an earlier one, mmpretrain, timm, torch.compile.

    git worktree add ../before COMMIT
    python -m benchmarks.cpu_training --before ../before [--cases 256/8 ...] [--rounds 15]

A step is a forward pass, a backward pass and AdamW, in float32, on a fixed batch. Every row has a
process of its own, because how memory is kept is a property of a process; the rows take turns,
one step each. Freed memory is kept and denormals are flushed in all rows (in mmpretrain, timm and
torch.compile by this script: their users' training is slower). A peer has the faster one of two
memory formats, and of AdamW and its fused form. The row "before" is as that checkout trains.

The floor is what no implementation can be faster than: the matrix products at the speed of a
large product, and twelve passes a block (each tensor that must be written or read once) at the
speed of a copy.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.in_turn import machine
from benchmarks.plans import matrix_peak
from mmconvmixer._support.clock import in_turn, time_in_turn

ROOT = Path(__file__).resolve().parents[1]
CASES = {
    '256/8': dict(width=256, depth=8, patch=2, kernel=5, act='GELU', image=32, batch=128,
                  classes=10),
    '128/4': dict(width=128, depth=4, patch=4, kernel=5, act='GELU', image=32, batch=256,
                  classes=10),
    '768/32': dict(width=768, depth=32, patch=7, kernel=7, act='ReLU', image=224, batch=4,
                   classes=1000),
}
ROWS = ('ours', 'before', 'mmpretrain', 'timm', 'compile')


class Row:
    """A process of `training_step.py`.

    Args:
        name: one of `ROWS`.
        case: one of `CASES`.
        checkout: whose package it imports.
        threads: of its computation.
    """

    def __init__(self, name: str, case: dict, checkout: Path, threads: int) -> None:
        script = Path(__file__).with_name('training_step.py')
        self._process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', str(script),
             json.dumps([name, case, str(checkout), threads])],
            cwd=checkout, env={**os.environ, 'PYTHONPATH': str(checkout)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.memory = 0
        self.begin = self._answer()

    def step(self) -> float:
        """Return the seconds of one step."""
        self._process.stdin.write('1\n')
        self._process.stdin.flush()
        seconds, self.memory = self._answer()
        return seconds

    def end(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict | list:
        for line in self._process.stdout:
            if line.startswith(('{', '[')):  # libraries print other lines
                return json.loads(line)
        raise SystemExit(f'a row ended with {self._process.wait()}')


def floor(case: dict, threads: int) -> tuple[float, float]:
    """Return the seconds of a step's matrix products, and of its passes over memory, at best."""
    positions = case['batch'] * (case['image'] // case['patch'])**2
    products = 3 * 2 * positions * case['width']**2 * case['depth']
    tensor = torch.empty(positions, case['width'])
    torch.set_num_threads(threads)
    other = torch.empty_like(tensor)
    copy, = time_in_turn({'copy': lambda: other.copy_(tensor)}, 15, device='cpu').values()
    passes = 12 * case['depth']
    return products / matrix_peak('float32', threads), 1e-3 * copy.median / 2 * passes


def measure(name: str, before: Path | None, rounds: int, threads: int) -> str:
    """Return the table of one case."""
    case = CASES[name]
    products, passes = floor(case, threads)
    rows = {row: Row(row, case, before if row == 'before' else ROOT, threads)
            for row in ROWS if row != 'before' or before}
    times = in_turn({key: row.step for key, row in rows.items()}, rounds)
    ours = times['ours']
    lines = [f'{name}, batch {case["batch"]}, {case["image"]} x {case["image"]}: products '
             f'{1e3 * products:.0f} ms and passes {1e3 * passes:.0f} ms at best; ours reaches '
             f'{(products + passes) / statistics.median(ours):.0%} of that floor',
             '| row | ms a step | spread | time to ours | MB at most | loss | setting |',
             '| --- | --: | --: | --: | --: | --: | --- |']
    for key, row in rows.items():
        own = times[key]
        ratio = statistics.median(a / b for a, b in zip(own, ours, strict=True))
        lines.append(f'| {key} | {1e3 * statistics.median(own):.0f} | {1e3 * min(own):.0f}-'
                     f'{1e3 * max(own):.0f} | {ratio:.2f} | {row.memory / 2**20:.0f} | '
                     f'{row.begin["loss"]:.4f} | {row.begin["setting"]} |')
        row.end()
    return '\n'.join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--before', type=Path, help='a checkout of an earlier version')
    parser.add_argument('--cases', nargs='+', choices=CASES, default=list(CASES))
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    print(machine(options.threads, 'cpu'))
    for name in options.cases:
        before = options.before and options.before.resolve()
        print('\n' + measure(name, before, options.rounds, options.threads), flush=True)


if __name__ == '__main__':
    main()

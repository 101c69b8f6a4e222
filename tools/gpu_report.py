#!/usr/bin/env python
"""Check and time the fused kernels on this machine's GPU.

    python tools/gpu_report.py --out gpu_report          # gpu_report.md and .json
    python tools/gpu_report.py --tiny                    # a rehearsal of seconds, anywhere

It needs torch and Triton only. First it compares every kernel with plain PyTorch in
float64. Then it times kernels, whole networks and training steps, alternating with
PyTorch's own operators, torch.compile and, if installed, timm and mmpretrain.
Each part runs in a process of its own, and each row is on disk as soon as it is
measured. Whatever fails or is not reached within --minutes is listed with the
reason, and the rest goes on. The exit code is 1 if a check or a kernel fails.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks/ is not installed
# Each part, and the share of the time that has passed when it ends.
PARTS = {'checks': 0.15, 'kernels': 0.25, '768/32': 0.58, '1024/20': 0.73, '256/8 CIFAR': 0.8,
         '1536/20': 1.}
TINY_PARTS = {'checks': 0.3, 'kernels': 0.6, 'tiny': 1.}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; --part and --share are for the processes of the parts."""
    parser = argparse.ArgumentParser(prog=f'python tools/{Path(__file__).name}',
                                     description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='gpu_report', help='name of the files, without the ending')
    parser.add_argument('--minutes', type=float, default=7.5, help='time for all parts together')
    parser.add_argument('--rounds', type=int, default=20, help='timings of each function, at most')
    parser.add_argument('--tiny', action='store_true',
                        help='tiny sizes; without a GPU, Triton interprets the kernels')
    parser.add_argument('--part', help=argparse.SUPPRESS)
    parser.add_argument('--share', type=int, nargs=2, default=(0, 1), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def measure(part: str, share: tuple[int, int], minutes: float, rounds: int,
            tiny: bool) -> Iterator[tuple[str, dict]]:
    """Yield section and row for everything that a part, or its share of one, measures."""
    deadline = time.monotonic() + 60 * minutes
    import torch

    from benchmarks import checks, kernels, whole
    from benchmarks.networks import CASES, TINY
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # for PyTorch's own convolutions
    cases = TINY if tiny else CASES
    if part == 'checks':
        yield 'machine', _machine()
        for row in checks.check_rows(cases, tiny, share):
            yield 'checks', row
    elif part == 'kernels':
        bandwidth = kernels.copy_bandwidth(rounds, 0.001 if tiny else 4)
        yield 'machine', {'copy TB/s': bandwidth}
        for row in kernels.kernel_rows(cases, rounds, bandwidth):
            yield 'kernels', row
    else:
        case = next(case for case in cases if case.name == part)
        yield 'checks', checks.network_row(case)
        compiler = ((lambda network, **_: torch.compile(network, backend='eager')) if tiny
                    else whole.compile_static)
        for training in (False, True):
            for row in whole.network_rows(case, training, rounds, deadline, compiler):
                yield 'networks', row


def _machine() -> dict:
    import torch
    import triton

    from mmconvmixer._support.git_revision import git_revision
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return dict(
        GPU=torch.cuda.get_device_name() if torch.cuda.is_available() else 'none',
        CUDA=torch.version.cuda, cuDNN=cudnn.version(), torch=torch.__version__,
        triton=triton.__version__, python=platform.python_version(), commit=git_revision(),
        TF32=f'{matmul.allow_tf32} in products, {cudnn.allow_tf32} in convolutions',
        date=time.strftime('%Y-%m-%d'))


def run_part(args: argparse.Namespace) -> None:
    """Append each row to the record as soon as it is measured."""
    from mmconvmixer.ops import kernels
    kernels.triton_on_cpu = os.environ.get('TRITON_INTERPRET') == '1'
    with open(f'{args.out}.jsonl', 'a') as record:
        for section, row in measure(args.part, args.share, args.minutes, args.rounds,
                                    args.tiny):
            # One write per line, because several processes append to the file.
            record.write(json.dumps([section, row]) + '\n')
            record.flush()


def run_parts(args: argparse.Namespace) -> dict:
    """Run each part in its own process; write the report after each, and return it."""
    start, total = time.monotonic(), 60 * args.minutes
    record = Path(f'{args.out}.jsonl')
    record.write_text('')
    if args.tiny and not Path('/dev/nvidiactl').exists():
        os.environ['TRITON_INTERPRET'] = '1'
    report = {}
    for part, share in (TINY_PARTS if args.tiny else PARTS).items():
        left = start + share * total - time.monotonic()
        # Checks are not timed, so they run in parallel. They also fill the cache of
        # compiled kernels for the other parts.
        shares = max(1, min(12, (os.cpu_count() or 1) - 2)) if part == 'checks' else 1
        command = [sys.executable, __file__, '--out', args.out, '--rounds', str(args.rounds),
                   '--minutes', str(left / 60), '--part', part, *['--tiny'] * args.tiny]
        running = [subprocess.Popen([*command, '--share', str(number), str(shares)])
                   for number in range(shares)]
        # A measurement that has begun in time may end up to 40 seconds late.
        for why in filter(None, _ends(running, time.monotonic() + max(left, 0) + 40)):
            section = part if part in ('checks', 'kernels') else 'networks'
            with record.open('a') as file:
                file.write(json.dumps([section, {section[:-1]: part, 'ok': False,
                                                 'reason': why}]) + '\n')
        report = _written(args.out, record, (time.monotonic() - start) / 60)
        print(f'{part}: {(time.monotonic() - start) / 60:.1f} minutes', file=sys.stderr, flush=True)
    record.unlink()
    return report


def _ends(running: list[subprocess.Popen], latest: float) -> Iterator[str]:
    """Wait for the processes; yield for each why it did not finish, or ''."""
    for process in running:
        try:
            code = process.wait(timeout=max(0, latest - time.monotonic()))
            yield code and f'a process ended with exit code {code}'
        except subprocess.TimeoutExpired:
            process.kill()
            yield 'stopped: out of time'


def _written(out: str, record: Path, minutes: float) -> dict:
    """Write the page and the figures of the rows so far; return the report."""
    from benchmarks.page import page
    report = dict(machine={}, checks=[], kernels=[], networks=[])
    for line in record.read_text().splitlines():
        section, row = json.loads(line)
        if section == 'machine':
            report['machine'] |= row
        else:
            report[section].append(row)
    report['machine']['minutes'] = minutes
    Path(f'{out}.json').write_text(json.dumps(report, indent=1))
    Path(f'{out}.md').write_text(page(report))
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report, or as a subprocess measure one part; return the exit code."""
    args = parse_args(argv)
    if args.part:
        run_part(args)
        return 0
    report = run_parts(args)
    print(Path(f'{args.out}.md').read_text(), end='')
    return int(not all(row['ok'] for row in report['checks'])
               or any('reason' in row for row in report['kernels']))


if __name__ == '__main__':
    sys.exit(main())

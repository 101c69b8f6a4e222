#!/usr/bin/env python
"""Check and time the fused kernels on this machine's GPU.

    python tools/gpu_report.py --out gpu_report          # gpu_report.md and .json
    python tools/gpu_report.py --tiny                    # a rehearsal of seconds, anywhere

Needs torch and Triton only. Every kernel is compared with plain PyTorch in
float64, then kernels, whole networks and training steps are timed in turn with
PyTorch's own operators, torch.compile and, where installed, timm. What there is
no time for within --minutes is listed as not reached; what fails is listed with
its reason, and the rest goes on. Exit code 1 if a check or a kernel fails.
"""
import argparse
import importlib.machinery
import importlib.util
import json
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='gpu_report', help='name of the files, without ending')
    parser.add_argument('--minutes', type=float, default=7.5, help='no row begins after them')
    parser.add_argument('--rounds', type=int, default=20, help='timings of each')
    parser.add_argument('--tiny', action='store_true',
                        help='tiny sizes; without a GPU, Triton interprets the kernels')
    return parser.parse_args(argv)


def without_openmmlab() -> None:
    """Make `mmconvmixer` importable part by part: its own __init__ registers in mmpretrain."""
    for name in ('mmconvmixer', 'mmconvmixer.models'):
        if name not in sys.modules:
            folder = ROOT.joinpath(*name.split('.'))
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(folder)]
            sys.modules[name] = importlib.util.module_from_spec(spec)


def measure(minutes: float, rounds: int, tiny: bool) -> dict:
    start = time.monotonic()
    import torch
    import triton

    from mmconvmixer.benchmarks import checks, kernels, whole
    from mmconvmixer.benchmarks.networks import CASES, TINY
    has_gpu = torch.cuda.is_available()
    report = dict(machine=dict(
        GPU=torch.cuda.get_device_name() if has_gpu else 'none', CUDA=torch.version.cuda,
        torch=torch.__version__, triton=triton.__version__, python=platform.python_version(),
        **{'copy TB/s': kernels.copy_bandwidth(rounds, 0.001 if tiny else 4)}))
    report['checks'] = list(checks.check_rows(tiny))
    cases = TINY if tiny else CASES
    report['kernels'] = list(kernels.kernel_rows(cases, rounds))
    deadline = start + 60 * minutes
    plain = whole.PLAIN[:3] if tiny else whole.PLAIN
    plans = [(case, training, plain) for case in cases for training in (False, True)]
    if not tiny:  # the slowest to prepare last
        plans += [(case, training, (whole.EAGER, whole.FUSED, whole.MAX_AUTOTUNE, whole.TIMM))
                  for case in cases[:3] for training in (False, True)]
    report['networks'] = []
    for case, training, variants in plans:
        report['networks'] += whole.network_rows(case, training, variants, rounds, deadline)
        torch.cuda.empty_cache()
    report['machine']['minutes'] = (time.monotonic() - start) / 60
    return report


def main(argv=None) -> int:
    args = parse_args(argv)
    if args.tiny and not Path('/dev/nvidiactl').exists():
        os.environ['TRITON_INTERPRET'] = '1'
    without_openmmlab()
    report = measure(args.minutes, args.rounds, args.tiny)
    from mmconvmixer.benchmarks.page import page
    Path(f'{args.out}.json').write_text(json.dumps(report, indent=1))
    Path(f'{args.out}.md').write_text(page(report))
    print(page(report))
    return int(not all(row['ok'] for row in report['checks'])
               or any('reason' in row for row in report['kernels']))


if __name__ == '__main__':
    sys.exit(main())

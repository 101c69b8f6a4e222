"""The rows to compare, and the images that they get."""
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.rows import PEERS, Plan
from benchmarks.trained_like import trained_like
from mmconvmixer._support.clock import time_in_turn
from mmconvmixer._support.processor import supported_precision
from mmconvmixer.deploy.backends import BACKENDS, PRECISIONS, able_backends
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.packages import is_installed, require_packages
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization.calibration import calibration_batches
from mmconvmixer.deploy.sample_images import sample_batch
from mmconvmixer.errors import UnknownOption
from mmconvmixer.zoo.models import get_model

_CALIBRATION = 32  # images


def make_plans(model: str, folder: Path, *, backends: list[str] | None, precisions: list[str],
               peers: list[str] | None, batch_sizes: list[int], image_size: int | None,
               checkpoint: str | None, calib: str | None, device: str, train: bool, threads: int
               ) -> tuple[list[Plan], list[np.ndarray], int]:
    """Return the rows (peers first), the batches, and the floating-point operations per image.

    Args:
        folder: receives the weights file that all rows read.

    The other arguments are the options of `tools/benchmark.py`.

    Raises:
        UnknownOption, MissingPackage: a row that was asked for is not possible here.
    """
    if peers is None:
        peers = [peer for peer in PEERS if is_installed(peer)]
    for peer in peers:
        if peer not in PEERS:
            raise UnknownOption(f'peer {peer!r} is not known; these are: {", ".join(PEERS)}')
        require_packages(f'the peer {peer}', 'test', peer)
    for name in backends or ():
        if name not in BACKENDS:
            raise UnknownOption(f'backend {name!r} is not known; these are: {", ".join(BACKENDS)}')
    unknown = set(precisions) - set(PRECISIONS)
    if unknown:
        raise UnknownOption(f'precision {unknown.pop()!r} is not known; these are: '
                            f'{", ".join(PRECISIONS)}')
    asked = ', '.join(precisions)
    precisions = [precision for precision in precisions
                  if supported_precision(precision) == precision or device == 'cuda']
    torch.manual_seed(0)
    built = get_model(model, checkpoint or False)
    if not checkpoint:
        trained_like(built)
    weights = folder / 'weights.pth'
    torch.save(dict(state_dict=built.state_dict()), weights)
    preprocessing = preprocessing_of(built, image_size)

    in_torch = train or device == 'cuda'
    rows = []
    for precision in precisions:
        able = [name for name in able_backends(precision)
                if not in_torch or name in ('torch', 'compile')]
        chosen = able if backends is None else [name for name in backends if name in able]
        rows += [(name, precision) for name in peers if precision != 'int8']
        rows += [(name, precision) for name in chosen]
    idle = set(backends or ()) - {name for name, _ in rows}
    if idle:
        raise UnknownOption(f'backend {idle.pop()} has none of the precisions {asked} here, or '
                            "lacks a package (pip install 'mmconvmixer[deploy,tf]')")
    if not rows:
        raise UnknownOption('none of these backends has any of these precisions')
    calibration = None
    if 'int8' in precisions:
        calibration = (np.concatenate(calibration_batches(built, calib)) if calib
                       else sample_batch(preprocessing, _CALIBRATION))
    plans = [Plan(row, precision, model, str(weights), image_size, device, train, threads,
                  calibration if precision == 'int8' else None) for row, precision in rows]
    batches = [sample_batch(preprocessing, size) for size in batch_sizes]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Job(built, preprocessing).network(torch.from_numpy(batches[0][:1]))
    return plans, batches, counter.get_total_flops()


def matrix_peak(precision: str, threads: int, size: int = 3072) -> float:
    """Return the operations per second of torch's matrix product on a CPU, median of seven."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a, b = (torch.randn(size, size).to(getattr(torch, precision)) for _ in range(2))
    timing, = time_in_turn({'product': lambda: a @ b}, 7, warm_up=2, device='cpu').values()
    torch.set_num_threads(before)
    return 2 * size**3 / (1e-3 * timing.median)

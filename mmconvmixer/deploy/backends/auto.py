"""The fastest backend whose outputs agree with PyTorch's."""
import logging
from functools import partial

import numpy as np
import torch
from mmengine.logging import print_log

from mmconvmixer._support.clock import time_in_turn
from mmconvmixer._support.processor import has_int8
from mmconvmixer.deploy.backends.load import Run, computed_precision, load_backend
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.reference import reference_outputs
from mmconvmixer.deploy.sample_images import sample_batch
from mmconvmixer.errors import UnknownOption

# Largest difference over the largest logit. A wrong network differs by one or two.
TOLERANCES = dict(float32=1e-4, bfloat16=0.25, int8=0.5)
ROUNDS = 3


def fastest(job: Job, names: list[str], precision: str,
            calibration: list[np.ndarray] | None, batch_size: int) -> Run:
    """Build these backends, compare and time them, and return the function of the fastest.

    For int8 on a processor without VNNI, the same backends in float32 compete.

    Args:
        job, precision, calibration, batch_size: see `build_backend`.
        names: the backends to try.

    Raises:
        UnknownOption: no backend computes this network in this precision.
    """
    images = torch.from_numpy(sample_batch(job.preprocessing, batch_size))
    expected = reference_outputs(job.model, images)
    candidates = [(name, precision) for name in names]
    if precision == 'int8' and not has_int8():
        # There int8 gains much in a large network and may gain nothing in a small one.
        candidates += [(name, 'float32') for name in names]
    runs = {}
    for name, asked in candidates:
        try:
            run = load_backend(name).build(job, asked, calibration)
            outputs = run(images)
        except Exception as error:  # libraries raise anything; the other backends remain
            print_log(f'auto: {name} does not run this network ({type(error).__name__}: '
                      f'{str(error)[:200]})', 'current', logging.WARNING)
            continue
        difference = (outputs - expected).abs().max() / expected.abs().max()
        if not difference <= TOLERANCES[asked]:
            print_log(f'auto: {name} is left out because its outputs differ by {difference:.3g} '
                      'of the largest', 'current', logging.WARNING)
            continue
        runs[f'{name} in {computed_precision(run, asked)}'] = run
    if not runs:
        raise UnknownOption(f'no installed backend computes this network in {precision}; the log '
                            'says why')
    # The comparison above was the warm-up.
    timings = time_in_turn({name: partial(run, images) for name, run in runs.items()}, ROUNDS,
                           warm_up=0, device='cpu')
    best = min(timings, key=lambda name: timings[name].median)
    rates = ', '.join(f'{name} {1e3 * batch_size / timing.median:.3g}'
                      for name, timing in timings.items())
    print_log(f'auto: {best} (images per second: {rates})', 'current')
    return runs[best]

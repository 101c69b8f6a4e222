"""The fastest backend whose answers agree with PyTorch's."""
import logging
import statistics

import numpy as np
import torch
from mmengine.logging import print_log

from mmconvmixer.deploy.backends import Run, load_backend
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.reference import reference_outputs
from mmconvmixer.deploy.sample_images import sample_batch
from mmconvmixer.deploy.timing import seconds as one_call
from mmconvmixer.errors import UnknownOption

# Of the largest logit. A wrong network is off by one or two.
TOLERANCES = dict(float32=1e-4, bfloat16=0.25, int8=0.5)
ROUNDS = 3


def fastest(job: Job, names: list[str], precision: str,
            calibration: list[np.ndarray] | None, batch_size: int) -> Run:
    """Build and time all these backends in turn; return the function of the best.

    Args: see `build_backend`.
    """
    images = torch.from_numpy(sample_batch(job.preprocessing, batch_size))
    expected = reference_outputs(job.model, images)
    runs, seconds = {}, {}
    for name in names:
        try:
            run = load_backend(name).build(job, precision, calibration)
            answer = run(images)
        except Exception as error:  # a library's, of any kind; the others are still there
            print_log(f'auto: {name} does not run this network ({type(error).__name__}: '
                      f'{str(error)[:200]})', 'current', logging.WARNING)
            continue
        difference = (answer - expected).abs().max() / expected.abs().max()
        if not difference <= TOLERANCES[precision]:
            print_log(f'auto: {name} is left out, its answers differ by {difference:.3g} of the '
                      'largest', 'current', logging.WARNING)
            continue
        runs[name], seconds[name] = run, []
    if not runs:
        raise UnknownOption(f'no installed backend computes this network in {precision}; the log '
                            'says why')
    for _ in range(ROUNDS):
        for name, run in runs.items():
            seconds[name].append(one_call(run, images))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    best = min(medians, key=medians.get)
    rates = ', '.join(f'{name} {batch_size / median:.3g}' for name, median in medians.items())
    print_log(f'auto: {best} in {precision} (images a second: {rates})', 'current')
    return runs[best]

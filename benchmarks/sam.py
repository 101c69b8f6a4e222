"""The work of `tools/benchmark_sam.py`: sharpness-aware training steps against plain ones."""
import statistics
from copy import deepcopy
from functools import partial

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample

from mmconvmixer._support.clock import time_in_turn
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.engine import SAMOptimWrapper
from mmconvmixer.zoo.models import get_model


def compare(config: str, batch_size: int, steps: int, adaptive: bool) -> str:
    """Time both kinds of steps on a CPU; return the figures in one line.

    Args:
        config: path of a config, or name of a model.
        batch_size: random images in a step.
        steps: timed steps of each kind.
        adaptive: scale the perturbation by the weights (ASAM).
    """
    model = get_model(config).train()
    preprocessing = preprocessing_of(model)
    torch.manual_seed(0)
    images = torch.randn(batch_size, preprocessing.in_channels, *preprocessing.image_size)
    classes = model.head.fc.out_features
    batch = dict(inputs=images, mode='loss', data_samples=[
        DataSample().set_gt_label(number % classes) for number in range(batch_size)])
    sam_model = deepcopy(model)
    plain = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-4))
    sam = SAMOptimWrapper(torch.optim.AdamW(sam_model.parameters(), lr=1e-4), adaptive=adaptive)
    timings = time_in_turn(dict(plain=partial(_step, model, plain, batch),
                                sam=partial(_step, sam_model, sam, batch)), steps, device='cpu')
    ratios = timings['sam'].ratios_to(timings['plain'])
    return (f'torch {torch.__version__}, {torch.get_num_threads()} threads, batch {batch_size}: '
            f'plain {timings["plain"].median:.1f} ms a step, SAM {timings["sam"].median:.1f} ms; '
            f'median ratio {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f} '
            f'({steps} of each)')


def _step(model: torch.nn.Module, optim_wrapper: OptimWrapper, batch: dict) -> None:
    with optim_wrapper.optim_context(model):
        losses = model(**batch)
    optim_wrapper.update_params(model.parse_losses(losses)[0])

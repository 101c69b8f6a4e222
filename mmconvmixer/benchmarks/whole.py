"""Times of whole networks: inference, and training steps."""
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional as F

from mmconvmixer.benchmarks.clock import DEVICE, milliseconds, time_in_turn
from mmconvmixer.benchmarks.limits import floor_milliseconds
from mmconvmixer.benchmarks.networks import Case, Network

EAGER, CHANNELS_LAST, FUSED = 'eager', 'eager, channels-last', 'fused'
COMPILED, MAX_AUTOTUNE, TIMM = 'torch.compile', 'torch.compile, max-autotune', 'timm'
PLAIN = (EAGER, CHANNELS_LAST, FUSED, COMPILED)


def network_rows(case: Case, training: bool, variants: tuple[str, ...], rounds: int,
                 deadline: float) -> Iterator[dict]:
    """Yield a row for each variant, bf16 autocast; those of one call are timed in turn.

    Variants whose preparation (compiling) would begin after `deadline`
    (`time.monotonic`) are yielded without figures.
    """
    prepared, memory = {}, {}
    for variant in variants:
        if time.monotonic() > deadline:
            yield _row(case, training, variant, reason='not reached in time')
            continue
        try:
            network = _network(case, variant)
            if network is None:
                yield _row(case, training, variant, reason='not in timm, or timm not installed')
                continue
            step = _step(case, network, training, variant)
            step()  # compiles
            memory[variant] = _peak(step)
        except Exception as error:  # a compiler's, or memory: the other rows go on
            yield _row(case, training, variant,
                       reason=f'{type(error).__name__}: {str(error).strip()[:200]}')
            continue
        prepared[variant] = step
    if not prepared:
        return
    floor = case.batch_size * floor_milliseconds(
        case.positions, case.embed_dims, case.depth, case.kernel_size)
    timings = time_in_turn(prepared, rounds)
    for variant, timing in timings.items():
        yield _row(case, training, variant, ms=timing.median, least=timing.least,
                   most=timing.most, img_per_s=1e3 * case.batch_size / timing.median,
                   of_floor=None if training else floor / timing.median,
                   peak_mib=memory[variant],
                   speed=timings.get(EAGER, timing).median / timing.median)


def _row(case: Case, training: bool, variant: str, **figures) -> dict:
    return dict(network=case.name, what='training step' if training else 'inference',
                batch=case.batch_size, variant=variant, **figures)


def _network(case: Case, variant: str) -> nn.Module | None:
    if variant != TIMM:
        return Network(case, fused=variant == FUSED).to(DEVICE)
    try:
        import timm
    except ImportError:
        return None
    name = f'convmixer_{case.name.replace("/", "_")}' + ('' if case.act is nn.GELU else '_')
    name = next((each for each in timm.list_models('convmixer*') if each.startswith(
        name.rstrip('_'))), None)
    return name and timm.create_model(name, num_classes=case.num_classes).to(DEVICE)


def _step(case: Case, network: nn.Module, training: bool, variant: str) -> Callable[[], object]:
    network.train(training)
    images = torch.randn(case.batch_size, 3, case.image_size, case.image_size, device=DEVICE)
    if variant != EAGER:
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    parameters = list(network.parameters())
    if variant == COMPILED:
        network = torch.compile(network)
    elif variant == MAX_AUTOTUNE:
        network = torch.compile(network, mode='max-autotune')
    if not training:
        def infer():
            with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16):
                return network(images)
        return infer

    targets = torch.randint(case.num_classes, (case.batch_size,), device=DEVICE)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, eps=1e-3)

    def step():
        optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16):
            loss = F.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
    return step


def _peak(step: Callable[[], object]) -> int | None:
    """Return what a step takes at most beyond what lies in memory before it, in MiB."""
    if DEVICE == 'cpu':
        return None
    milliseconds(step)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    milliseconds(step)
    return (torch.cuda.max_memory_allocated() - before) >> 20

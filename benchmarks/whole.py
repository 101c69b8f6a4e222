"""Times of whole networks: inference, and training steps."""
import importlib.util
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.failures import reason
from benchmarks.limits import floor_milliseconds
from benchmarks.networks import Case, Network
from mmconvmixer._support.clock import DEVICE, Timing, milliseconds, time_in_turn

EAGER, CHANNELS_LAST, FUSED = 'eager', 'eager, channels-last', 'fused'
FUSED_GRAPH = 'fused, CUDA graph'
COMPILED, MAX_AUTOTUNE = 'torch.compile', 'torch.compile, max-autotune'
TIMM, MMPRETRAIN = 'timm', 'mmpretrain'

Step = Callable[[], object]
# The compiler specializes on the sizes, as the kernels do.
compile_static = partial(torch.compile, dynamic=False)


def network_rows(case: Case, training: bool, rounds: int, deadline: float,
                 compiler: Callable = compile_static) -> Iterator[dict]:
    """Yield a row for each variant, timed in turn under bf16 autocast.

    The variant that compiles slowest comes last, timed in turn with the fused network
    only. Variants whose preparation would begin after `deadline` (`time.monotonic`) are
    yielded without figures.
    """
    _forget_compiled()
    other_projects = [name for name in (TIMM, MMPRETRAIN) if importlib.util.find_spec(name)]
    graph = [FUSED_GRAPH] if DEVICE == 'cuda' and not training else []
    variants = [EAGER, CHANNELS_LAST, FUSED, *graph, *other_projects, COMPILED]
    prepare = partial(_prepared, case, training, deadline, compiler)

    def row(variant: str, **figures: Any) -> dict:
        return dict(network=case.name, what='training step' if training else 'inference',
                    batch=case.batch_size, variant=variant, **figures)

    steps, memory, faster = {}, {}, False
    for variant in variants:
        if variant == FUSED and {EAGER, CHANNELS_LAST} <= steps.keys():
            faster = milliseconds(steps[CHANNELS_LAST]) < milliseconds(steps[EAGER])
        try:
            steps[variant] = prepare(variant, faster)
            memory[variant] = _peak(steps[variant])
        except Exception as error:  # from a compiler, or out of memory; the other rows go on
            steps.pop(variant, None)
            yield row(variant, reason=reason(error))
    figures = partial(_figures, case, training, memory)
    timings = _timed(steps, rounds)
    best = min((timings[each].median for each in (EAGER, CHANNELS_LAST) if each in timings),
               default=None)
    for variant in steps:
        yield row(variant, **figures(variant, timings, best))

    fused = steps.get(FUSED)
    steps.clear()
    _forget_compiled()
    try:
        slow = prepare(MAX_AUTOTUNE, faster)
        timings = _timed({MAX_AUTOTUNE: slow, **({FUSED: fused} if fused else {})}, rounds)
    except Exception as error:
        yield row(MAX_AUTOTUNE, reason=reason(error))
        return
    yield row(MAX_AUTOTUNE, **figures(MAX_AUTOTUNE, timings, best))


class NotReached(Exception):
    """There is no time left to measure it."""


def _forget_compiled() -> None:
    """Let dynamo compile the next network from scratch.

    It would count it as a recompilation of the last one, and after eight of these it
    silently stops compiling.
    """
    torch._dynamo.reset()
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    torch.cuda.empty_cache()


def _timed(steps: dict[str, Step], rounds: int) -> dict[str, Timing]:
    """Time the steps in turn; if that fails, time those that still run, each alone."""
    try:
        return time_in_turn(steps, rounds, seconds=6, warm_up=1)
    except Exception:
        return {name: timing for name, step in steps.items()
                for timing in _alone(step, rounds)}


def _alone(step: Step, rounds: int) -> Iterator[Timing]:
    try:
        yield time_in_turn({'': step}, rounds, seconds=2, warm_up=1)['']
    except Exception as error:
        print(f'a step ran once and now fails: {reason(error)}')


def _figures(case: Case, training: bool, memory: dict[str, int | None], variant: str,
             timings: dict[str, Timing], best_eager: float | None) -> dict:
    if variant not in timings:
        return dict(reason='ran once, then failed')
    timing = timings[variant]
    floor = case.batch_size * floor_milliseconds(
        case.positions, case.embed_dims, case.depth, case.kernel_size)
    return timing.figures() | {
        'img_per_s': 1e3 * case.batch_size / timing.median,
        'times best eager': best_eager and best_eager / timing.median,
        'of_floor': None if training else floor / timing.median,
        'peak_mib': memory.get(variant)}


def _prepared(case: Case, training: bool, deadline: float, compiler: Callable, variant: str,
              channels_last_is_faster: bool) -> Step:
    """Return a step that has run once, so that it is compiled."""
    if time.monotonic() > deadline:
        raise NotReached('no time left')
    torch.manual_seed(0)
    network = _network(case, variant).to(DEVICE).train(training)
    images = torch.randn(case.batch_size, 3, case.image_size, case.image_size, device=DEVICE)
    if variant in (CHANNELS_LAST, FUSED, FUSED_GRAPH) or (
            variant != EAGER and channels_last_is_faster):
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    parameters = list(network.parameters())
    if variant == COMPILED:
        network = compiler(network)
    elif variant == MAX_AUTOTUNE:
        network = compiler(network, mode='max-autotune')
    step = (_training_step(case, network, parameters, images) if training
            else _inference(network, images))
    step()
    return _graph_of(step) if variant == FUSED_GRAPH else step


def _network(case: Case, variant: str) -> nn.Module:
    if variant == TIMM:
        import timm
        name = f'convmixer_{case.name.replace("/", "_")}'
        names = [each for each in timm.list_models('convmixer*') if each.startswith(name)]
        if not names:
            raise LookupError(f'timm has no {name}')
        return timm.create_model(names[0], num_classes=case.num_classes)
    if variant == MMPRETRAIN:
        from mmpretrain.models.backbones import ConvMixer
        arch = dict(embed_dims=case.embed_dims, depth=case.depth, patch_size=case.patch_size,
                    kernel_size=case.kernel_size)
        backbone = ConvMixer(arch, act_cfg=dict(type=case.act.__name__))
        return nn.Sequential(backbone, _Last(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                             nn.Linear(case.embed_dims, case.num_classes))
    return Network(case, fused=variant in (FUSED, FUSED_GRAPH))


class _Last(nn.Module):
    def forward(self, features: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return features[-1]


def _inference(network: nn.Module, images: torch.Tensor) -> Step:
    def infer() -> torch.Tensor:
        with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16):
            return network(images)
    return infer


def _training_step(case: Case, network: nn.Module, parameters: list[nn.Parameter],
                   images: torch.Tensor) -> Step:
    targets = torch.randint(case.num_classes, (case.batch_size,), device=DEVICE)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, eps=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16):
            loss = F.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
    return step


def _graph_of(step: Step) -> Step:
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def _peak(step: Step) -> int | None:
    """Return the memory that a step takes at its peak, beyond what is allocated before, in MiB."""
    if DEVICE == 'cpu':
        return None
    milliseconds(step)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    milliseconds(step)
    return (torch.cuda.max_memory_allocated() - before) >> 20

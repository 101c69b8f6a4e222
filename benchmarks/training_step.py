"""One row of `benchmarks.cpu_training`: a process that runs training steps when it is asked to.

It imports only what its own row needs, so that the row of another checkout runs that checkout's
code. It reads a number of steps from each line of its input, and writes their seconds.
"""
import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

LAYOUTS = dict(contiguous=torch.contiguous_format, channels_last=torch.channels_last)


class Classifier(nn.Module):
    """A backbone, average pooling and a linear head."""

    def __init__(self, backbone: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes)."""
        features, = self.backbone(images)
        return self.head(features.mean((2, 3)))


def build(row: str, case: dict) -> nn.Module:
    """Return the row's network, with random weights."""
    sizes = dict(embed_dims=case['width'], depth=case['depth'], patch_size=case['patch'],
                 kernel_size=case['kernel'])
    if row == 'timm':
        from timm.models.convmixer import ConvMixer
        return ConvMixer(case['width'], case['depth'], case['kernel'], case['patch'],
                         num_classes=case['classes'], act_layer=getattr(nn, case['act']))
    if row in ('mmpretrain', 'compile'):
        from mmpretrain.models.backbones.convmixer import ConvMixer
    else:
        from mmconvmixer.models import ConvMixer
    network = Classifier(ConvMixer(sizes, act_cfg=dict(type=case['act'])), case['width'],
                         case['classes'])
    if row == 'compile':
        network.compile()
    return network


def steps_of(row: str, case: dict, layout: str, fused: bool) -> Callable[[], float]:
    """Return a function that runs a step and returns its loss."""
    torch.manual_seed(0)
    network = build(row, case).train().to(memory_format=LAYOUTS[layout])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=fused)
    size = case['image']
    images = torch.randn(case['batch'], 3, size, size).contiguous(memory_format=LAYOUTS[layout])
    labels = torch.arange(case['batch']) % case['classes']

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


def chosen(row: str, case: dict) -> tuple[Callable[[], float], str]:
    """Return the row's steps in its fastest setting, and what that is."""
    if row == 'before':  # as its training command sets it
        return steps_of(row, case, 'contiguous', fused=False), 'AdamW'
    layouts = ['contiguous'] if row == 'ours' else list(LAYOUTS)
    timed = {}
    for setting in [(layout, fused) for layout in layouts for fused in (False, True)]:
        step = steps_of(row, case, *setting)
        step()
        timed[setting] = min(seconds(step, 1) for _ in range(2))
        del step
    layout, fused = min(timed, key=timed.get)
    return (steps_of(row, case, layout, fused),
            f'{layout}, {"fused AdamW" if fused else "AdamW"}')


def seconds(step: Callable[[], float], count: int) -> float:
    """Return the mean time of a step."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


def set_memory(row: str, checkout: str) -> None:
    """Keep freed memory and flush denormals as this checkout's training does, in every row."""
    # The row of another checkout takes that checkout's file.
    namespace: dict = {}
    exec(Path(checkout, 'mmconvmixer/engine/cpu.py').read_text(), namespace)
    namespace['flush_denormals']()
    namespace['keep_freed_memory']()


def main() -> None:
    """Serve steps until the input ends."""
    row, case, checkout, threads = json.loads(sys.argv[1])
    set_memory(row, checkout)
    torch.set_num_threads(threads)
    step, setting = chosen(row, case)
    loss = step()  # of the same weights in each row
    step()
    with suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')  # begin to measure peak memory
    resident = resident_memory('VmRSS')
    step()
    print(json.dumps(dict(setting=setting, loss=loss, resident=resident)), flush=True)
    for line in sys.stdin:
        print(json.dumps([seconds(step, int(line)), resident_memory('VmHWM')]), flush=True)


def resident_memory(name: str) -> int:
    """Return a figure of /proc/self/status in bytes, or the largest memory elsewhere."""
    try:
        for line in Path('/proc/self/status').read_text().splitlines():
            if line.startswith(name):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == '__main__':
    main()

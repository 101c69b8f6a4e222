"""What this machine's processor has instructions for, and the precision that follows from it."""
import logging
from functools import cache
from pathlib import Path

import torch
from mmengine.logging import print_log


@cache
def processor_flags() -> frozenset[str]:
    """Return the names of the instruction sets on Linux; nothing on other systems."""
    info = Path('/proc/cpuinfo')
    if not info.is_file():
        return frozenset()
    for line in info.read_text().splitlines():
        if line.startswith(('flags', 'Features')):  # x86, ARM
            return frozenset(line.partition(':')[2].split())
    return frozenset()


def has_bfloat16() -> bool:
    """Whether there are bfloat16 instructions."""
    flags = processor_flags()
    return bool(flags & {'avx512_bf16', 'amx_bf16', 'bf16'}) or (
        not flags and torch.backends.mkldnn.is_available() and _mkldnn_bfloat16())


def has_int8() -> bool:
    """Whether there are int8 dot products (VNNI); false if the instruction sets are not known.

    Without them int8 still computes, and is faster than float32 for large networks.
    """
    return bool(processor_flags() & {'avx512_vnni', 'avx_vnni', 'amx_int8', 'asimddp', 'i8mm'})


def supported_precision(precision: str) -> str:
    """Return the precision in which this processor computes what was asked for, and log a change.

    Without instructions for it, bfloat16 is emulated and many times slower than float32.
    Int8 needs none.
    """
    if precision == 'bfloat16' and not has_bfloat16():
        print_log('this processor has no bfloat16 instructions: computing in float32', 'current',
                  logging.WARNING)
        return 'float32'
    return precision


def _mkldnn_bfloat16() -> bool:
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()

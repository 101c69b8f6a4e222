"""The speed that the kernels should reach on an H200-class GPU, and what a report shows."""
from benchmarks.whole import (
    CHANNELS_LAST,
    COMPILED,
    EAGER,
    FUSED,
    MAX_AUTOTUNE,
    MMPRETRAIN,
)

EAGERS = (EAGER, CHANNELS_LAST, MMPRETRAIN)
COMPILES = (COMPILED, MAX_AUTOTUNE)


def bars(report: dict) -> list[dict]:
    """Return a row for each bar: what, its limit, the measured value, whether the bar holds."""
    def faster(case: str, what: str, others: tuple[str, ...]) -> float | None:
        fused_ms = _figures(report, case, what, (FUSED,), 'ms')
        other_ms = _figures(report, case, what, others, 'ms')
        return min(other_ms) / min(fused_ms) if fused_ms and other_ms else None

    rows = []
    for case, what, by_eager, by_compile in (
            ('768/32', 'inference', 3, 1.3), ('768/32', 'training step', 2.5, 1.3),
            ('1024/20', 'inference', 2.5, None), ('1024/20', 'training step', 2, None),
            ('1536/20', 'inference', 2.5, None), ('1536/20', 'training step', 2, None)):
        rows.append(_row(f'{case}, {what}: times the best eager', by_eager,
                         faster(case, what, EAGERS)))
        if by_compile:
            rows.append(_row(f'{case}, {what}: times the best torch.compile', by_compile,
                             faster(case, what, COMPILES)))
    floor = _figures(report, '768/32', 'inference', (FUSED,), 'of_floor')
    rows.append(_row('768/32, inference: share of the floor', 0.5, max(floor, default=None)))
    fused_mib = _figures(report, '768/32', 'training step', (FUSED,), 'peak_mib')
    eager_mib = _figures(report, '768/32', 'training step', EAGERS, 'peak_mib')
    rows.append(_row("768/32, training step: peak memory over eager's", 0.6,
                     min(fused_mib) / min(eager_mib) if fused_mib and eager_mib else None,
                     at_most=True))
    for case in ('768/32', '1024/20', '1536/20'):
        for kernel, least in (('depthwise', 0.6), ('depthwise, gradient by input', 0.4),
                              ('depthwise, gradient by weight', 0.4)):
            got = [row['of limit'] for row in report['kernels']
                   if (row.get('variant'), row['kernel']) == (case, kernel) and 'of limit' in row]
            rows.append(_row(f'{case}, {kernel}: share of the limit', least,
                             max(got, default=None)))
    return rows


def _figures(report: dict, case: str, what: str, variants: tuple[str, ...],
             figure: str) -> list[float]:
    return [row[figure] for row in report['networks']
            if (row['network'], row.get('what')) == (case, what)
            and row['variant'] in variants and row.get(figure) is not None]


def _row(what: str, bar: float, got: float | None, at_most: bool = False) -> dict:
    holds = None if got is None else (got <= bar if at_most else got >= bar)
    return {'bar': what, 'at most' if at_most else 'at least': float(bar), 'got': got,
            'holds': 'not measured' if holds is None else holds}

"""The report as Markdown."""
from collections.abc import Sequence

from benchmarks.bars import bars


def table(rows: Sequence[dict]) -> str:
    """Return a Markdown table with a column for every key of the rows, except 'times'."""
    if not rows:
        return ''
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key != 'times']
    lines = [keys, ['---'] * len(keys), *([_text(row.get(key)) for key in keys] for row in rows)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def page(report: dict) -> str:
    """Return the page with everything that `tools/gpu_report.py` measured."""
    failed = [row for row in report['checks'] if not row['ok']]
    worst = max((row['error'] for row in report['checks'] if row['ok']), default=0)
    parts = [
        '# GPU report', table([report['machine']]), '## Bars', table(bars(report)),
        '## Correctness',
        f'{len(report["checks"]) - len(failed)} of {len(report["checks"])} checks passed, '
        f'largest relative error of these {worst:.1e}.', table(failed),
        '## Kernels (bf16)', table(report['kernels']),
        '## Networks (bf16 autocast)',
        "`eager` is mmpretrain's network in plain modules. torch.compile, timm and mmpretrain "
        'use the memory format in which eager is faster. Peak memory is what a step takes '
        'in addition to weights and optimizer.', table(report['networks'])]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _text(value: object) -> str:
    if value is None:
        return ''
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.3g}' if abs(value) < 1000 else f'{value:,.0f}'
    if isinstance(value, tuple | list):
        return ' x '.join(map(str, value))
    return ' '.join(str(value).split()).replace('|', '\\|')

"""The report as Markdown."""
from collections.abc import Sequence


def table(rows: Sequence[dict]) -> str:
    """Return a Markdown table with a column for every key of any row."""
    if not rows:
        return ''
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = [keys, ['---'] * len(keys), *([_text(row.get(key)) for key in keys] for row in rows)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def page(report: dict) -> str:
    """Return the page of what `tools/gpu_report.py` measured."""
    failed = [row for row in report['checks'] if not row['ok']]
    worst = max((row['error'] for row in report['checks']), default=0)
    parts = [
        '# GPU report', table([report['machine']]), '## Correctness',
        f'{len(report["checks"]) - len(failed)} of {len(report["checks"])} checks passed, '
        f'largest relative error {worst:.1e}.', table(failed),
        '## Kernels (bf16)', table(report['kernels']),
        '## Networks (bf16 autocast)', table(report['networks'])]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _text(value: object) -> str:
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:.3g}' if abs(value) < 1000 else f'{value:,.0f}'
    if isinstance(value, tuple):
        return ' x '.join(map(str, value))
    return str(value)

"""The work of `tools/benchmark.py`: one network through this package's runtimes and its peers."""
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.in_turn import machine, measure, processor_name, table
from benchmarks.plans import make_plans, matrix_peak


def compare(model: str, *, rounds: int, precisions: list[str], device: str, train: bool,
            threads: int, **options: Any) -> tuple[str, dict[str, Any]]:
    """Measure every row; return the tables as text, and all figures by name.

    Args:
        rounds: turns of each row.

    The other arguments are those of `make_plans`.

    Raises:
        UnknownOption, MissingPackage: see `make_plans`.
    """
    with TemporaryDirectory() as folder:
        plans, batches, flops = make_plans(
            model, Path(folder), precisions=precisions, device=device, train=train,
            threads=threads, **options)
        measured = measure(plans, batches, rounds)
    lines = ['', f'{model}, {"training steps, " if train else ""}{machine(threads, device)}', '',
             table(measured, train)]
    peaks = {}
    if not train and device == 'cpu':
        lines.append('')
        # make_plans leaves out precisions that this processor does not have.
        for precision in dict.fromkeys(row.precision for row in measured):
            if precision != 'int8':
                peaks[precision] = matrix_peak(precision, threads)
                lines.append(
                    f'{precision} matrix products alone reach {peaks[precision] / 1e9:.0f} '
                    f'GFLOP/s here; the network has {flops / 1e9:.1f} GFLOP an image: at most '
                    f'{peaks[precision] / flops:.1f} img/s')
    figures = dict(model=model, machine=processor_name(), threads=threads, device=device,
                   train=train, rounds=rounds, flops=flops, matrix_peaks=peaks,
                   rows=[row.as_dict() for row in measured])
    return '\n'.join(lines), figures

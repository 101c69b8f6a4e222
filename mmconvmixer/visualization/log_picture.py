"""Loss, accuracies and learning rate of runs, one panel each."""
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.figures import check_picture_paths, save_figure
from mmconvmixer.visualization.logs import Log

# Okabe and Ito's palette, which colour-blind readers tell apart too, without its
# yellow, too pale for a line; then the same in other dashes.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
DASHES = ('-', '--', '-.', ':')

# Title, names it may have in a log, the best known first, axis label.
PANELS = (
    ('training loss', ('loss',), 'loss'),
    ('top-1 accuracy', ('accuracy/top1',), '%'),
    ('top-5 accuracy', ('accuracy/top5',), '%'),
    # base_lr where parameters have rates of their own: lr is the first one's.
    ('learning rate', ('base_lr', 'lr'), 'rate'),
)
LEGEND_WIDTH = 90  # characters that one column has room for
MARKED = 40  # a curve of up to so many points shows them


def plot_logs(logs: Sequence[Log], paths: Sequence[str | Path]) -> None:
    """Draw runs over epochs, or over iterations if one of them has no epochs.

    Panels that no run has figures for are left out. The loss is a running mean
    over a twentieth of the log lines, the lines themselves pale beneath it; the
    rate's axis is logarithmic where a linear one would hide much of a run.

    Args:
        logs: the runs, each in its own colour under its `name`.
        paths: pictures to write, `.png` or `.svg`.

    Raises:
        BadConfig: no run, or none with any of these figures.
        OutputNotWritable: another ending, or see `mmconvmixer.files.written_whole`.
    """
    check_picture_paths(paths)
    if not logs:
        raise BadConfig('there is no run to draw')
    for log in logs:
        if not any(_curve(log, names) for _, names, _ in PANELS):
            known = sorted({name for row in log.rows for name in row} - {'epoch', 'iter'})
            wanted = ', '.join(name for _, names, _ in PANELS for name in names)
            raise BadConfig(f'{log.path} has none of {wanted}; it has {", ".join(known)}')
    panels = [panel for panel in PANELS if any(_curve(log, panel[1]) for log in logs)]
    figure = _draw(logs, panels)
    for path in paths:
        save_figure(figure, path)


def _draw(logs: Sequence[Log], panels: Sequence[tuple]):
    from matplotlib.figure import Figure
    by_epoch = all(log.epoch_length for log in logs)
    labels = [_label(log, by_epoch) for log in logs]
    lines = sum(label.count('\n') + 1 for label in labels)
    columns = min(len(panels), 3 if len(panels) == 3 else 2)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(max(5 * columns, 8), 3.2 * rows + 0.4 + 0.22 * lines), dpi=100,
                    layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, names, unit) in zip(grid.flat, panels, strict=True):
        axes.set_title(title, loc='left', fontsize=11)
        axes.set_ylabel(unit)
        axes.set_xlabel('epoch' if by_epoch else 'iteration')
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
        curves = [_curve(log, names, log.epoch_length if by_epoch else 1) for log in logs]
        for number, (curve, label) in enumerate(zip(curves, labels, strict=True)):
            _draw_curve(axes, curve, label, number, smooth=names == ('loss',))
        _format_axes(axes, curves, is_rate='lr' in names)
    _share_x(grid.flat, by_epoch)
    handles = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()
               if line.get_label() in labels}
    figure.legend(handles=[handles[label] for label in labels], loc='outside upper left',
                  frameon=False, fontsize=10)
    return figure


def _label(log: Log, by_epoch: bool) -> str:
    measured = log.curve('accuracy/top1')
    said = 'no validation yet'
    if measured:
        when, value = measured[-1]
        time = f'epoch {when / log.epoch_length:g}' if by_epoch else f'iteration {when:g}'
        said = f'top-1 {value:.2f} % after {time}'
    # textwrap would break names of folders in the middle; they have no spaces.
    name = '\n'.join(textwrap.wrap(log.name.replace('_', '_\0'), LEGEND_WIDTH - 4,
                                   break_on_hyphens=True)).replace('\0', '')
    return f'{name}: {said}' if len(name.split('\n')[-1]) + len(said) < LEGEND_WIDTH else (
        f'{name}:\n{said}')


def _curve(log: Log, names: Sequence[str], unit: int = 1) -> list[tuple[float, float]]:
    curve = next((curve for curve in map(log.curve, names) if curve), [])
    return [(when / unit, value) for when, value in curve]


def _draw_curve(axes, curve: list[tuple[float, float]], label: str, number: int,
                smooth: bool) -> None:
    when, values = np.array(curve, float).reshape(-1, 2).T
    half = len(curve) // 40 if smooth else 0
    style = dict(color=COLOURS[number % len(COLOURS)],
                 linestyle=DASHES[number // len(COLOURS) % len(DASHES)],
                 linewidth=1.6, zorder=3)
    if half:
        axes.plot(when, values, color=style['color'], alpha=0.3, linewidth=0.8, zorder=2)
        values = running_mean(values, half)
    marker = 'o' if len(curve) == 1 else '.' if len(curve) <= MARKED else None
    axes.plot(when, values, marker=marker, label=label, **style)


def running_mean(values: np.ndarray, half: int) -> np.ndarray:
    """Return the mean of each value and `half` neighbours on both sides.

    Towards the ends, of as many on both sides as there are: a curve that falls
    is not lifted there.

    Args:
        values: (N,); where one is not a number, neither are its neighbours' means.
        half: neighbours on one side.
    """
    reach = [min(half, index, len(values) - 1 - index) for index in range(len(values))]
    return np.array([values[index - r:index + r + 1].mean() for index, r in enumerate(reach)])


def _format_axes(axes, curves: list[list[tuple[float, float]]], is_rate: bool) -> None:
    from matplotlib.ticker import FuncFormatter
    if is_rate:
        if wants_log_scale([[value for _, value in curve] for curve in curves]):
            axes.set_yscale('log')
        else:
            axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))


def wants_log_scale(curves: Sequence[Sequence[float]]) -> bool:
    """Whether a linear axis would hide much of one of the curves at the bottom.

    So it is with steps by factors of ten, and with runs whose rates differ by as
    much; not with a rate that falls to zero at the end.
    """
    top = max((value for curve in curves for value in curve), default=0)
    return top > 0 and any(
        sum(0 < value < top / 20 for value in curve) > len(curve) / 3 for curve in curves)


def _share_x(all_axes, by_epoch: bool) -> None:
    from matplotlib.ticker import MaxNLocator
    when = [x for axes in all_axes for line in axes.get_lines() for x in line.get_xdata()]
    low, high = min(when), max(when)
    low = 0 if low < 0.2 * high else low
    margin = 0.02 * (high - low) or 0.5
    for axes in all_axes:
        axes.set_xlim(low - (margin if low else 0), high + margin)
        if by_epoch and high - low >= 2:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

"""Loss, accuracies and learning rate of runs, one panel each."""
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.figures import check_image_paths, save_figure
from mmconvmixer.visualization.logs import Log

# Okabe and Ito's palette, which color-blind readers tell apart too, without its
# yellow, too pale for a line; then the same in other dashes.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
DASHES = ('-', '--', '-.', ':')

# Title, and the names that the figure may have in a log.
PANELS = (
    ('training loss', ('loss',)),
    ('top-1 accuracy, %', ('accuracy/top1',)),
    ('top-5 accuracy, %', ('accuracy/top5',)),
    # base_lr where parameters have rates of their own: lr is the first one's.
    ('learning rate', ('base_lr', 'lr')),
)
LINE = 80  # characters of a line in the legend, where a longer name is broken
FONT_SIZE = 10  # points, of the legend
BESIDE_TEXT = 0.8  # inches, of a legend's column: its line, and space
WIDTH = 1.6
MARKED = 40  # a curve of up to so many points shows them


def plot_logs(logs: Sequence[Log], paths: Sequence[str | Path]) -> None:
    """Draw runs over epochs, or over iterations if one of them has no epochs.

    Panels that no run has figures for are left out. The loss is a running mean
    over a twentieth of the log lines, the lines themselves pale beneath it; the
    rate's axis is logarithmic where a linear one would hide much of a run.

    Args:
        logs: the runs, each in its own color under its `name`.
        paths: images to write, `.png` or `.svg`.

    Raises:
        BadConfig: no run, or none with any of these figures.
        OutputNotWritable: another ending, or see `mmconvmixer._support.atomic_write.atomic_write`.
    """
    check_image_paths(paths)
    if not logs:
        raise BadConfig('there is no run to draw')
    for log in logs:
        if not any(_curve(log, names) for _, names in PANELS):
            known = sorted({name for row in log.rows for name in row} - {'epoch', 'iter'})
            wanted = ', '.join(name for _, names in PANELS for name in names)
            raise BadConfig(f'{log.path} has none of {wanted}; it has {", ".join(known)}')
    panels = [panel for panel in PANELS if any(_curve(log, panel[1]) for log in logs)]
    figure = _draw(logs, panels)
    for path in paths:
        save_figure(figure, path)


def _draw(logs: Sequence[Log], panels: Sequence[tuple]):
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    by_epoch = all(log.epoch_length for log in logs)
    labels = [_label(log, by_epoch) for log in logs]
    columns = min(len(panels), 3 if len(panels) == 3 else 2)
    rows = math.ceil(len(panels) / columns)
    width = max(5 * columns, 8)
    longest = max(_inches(line) for label in labels for line in label.split('\n'))
    legend_columns = min(max(1, int(width / (longest + BESIDE_TEXT))), math.ceil(len(labels) / 3))
    lines = math.ceil(sum(label.count('\n') + 1 for label in labels) / legend_columns)
    figure = Figure(figsize=(width, 3.2 * rows + 0.4 + 0.22 * lines), dpi=100,
                    layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, names) in zip(grid.flat, panels, strict=True):
        axes.set_xlabel('epoch' if by_epoch else 'iteration')
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
        curves = [_curve(log, names, log.epoch_length if by_epoch else 1) for log in logs]
        if 'lr' in names:
            _draw_rates(axes, curves)
        else:
            smoothed = [_draw_figures(axes, curve, number, smooth='loss' in names)
                        for number, curve in enumerate(curves)]
            title += ', running mean (pale: as logged)' if any(smoothed) else ''
        axes.set_title(title, loc='left', fontsize=11)
    _share_x(list(grid.flat), by_epoch)
    figure.legend(handles=[Line2D([], [], label=label, **_style(number))
                           for number, label in enumerate(labels)],
                  loc='outside upper left', frameon=False, ncols=legend_columns,
                  fontsize=FONT_SIZE * min(1, (width - BESIDE_TEXT) / longest))
    return figure


def _label(log: Log, by_epoch: bool) -> str:
    measured = log.curve('accuracy/top1')
    said = 'no validation yet'
    if measured:
        when, value = measured[-1]
        time = f'epoch {when / log.epoch_length:g}' if by_epoch else f'iteration {when:g}'
        said = f'top-1 {value:.2f} % after {time}'
    lines = textwrap.wrap(log.name, LINE)
    gap = ' ' if len(lines[-1]) + len(said) < LINE else '\n'
    # Or matplotlib would leave out the one and take the other for a formula.
    name = '\n'.join(lines).replace('$', r'\$')
    return f'{" " if name.startswith("_") else ""}{name}:{gap}{said}'


def _inches(text: str) -> float:
    from matplotlib.textpath import TextPath
    # On pixels, letters come out up to a tenth wider.
    return 1.1 * TextPath((0, 0), text, size=FONT_SIZE).get_extents().width / 72


def _curve(log: Log, names: Sequence[str], unit: int = 1) -> list[tuple[float, float]]:
    curve = next((curve for curve in map(log.curve, names) if curve), [])
    return [(when / unit, value) for when, value in curve]


def _style(number: int) -> dict:
    return dict(color=COLOURS[number % len(COLOURS)],
                linestyle=DASHES[number // len(COLOURS) % len(DASHES)], linewidth=WIDTH)


def _draw_figures(axes, curve: list[tuple[float, float]], number: int, smooth: bool) -> bool:
    """Draw a curve; return whether it was smoothed."""
    when, values = np.array(curve, float).reshape(-1, 2).T
    half = len(curve) // 40 if smooth and len(curve) > 2 * MARKED else 0
    if half:
        axes.plot(when, values, color=_style(number)['color'], alpha=0.3, linewidth=0.8, zorder=2)
        values = running_mean(values, half)
    marker = 'o' if len(curve) == 1 else '.' if len(curve) <= MARKED else None
    axes.plot(when, values, marker=marker, zorder=3, **_style(number))
    return bool(half)


def _draw_rates(axes, curves: list[list[tuple[float, float]]]) -> None:
    from matplotlib.ticker import FuncFormatter
    for number, curve in enumerate(curves):
        when, values = np.array(curve, float).reshape(-1, 2).T
        # Runs to compare often have the same rates: the first of them are wider, to
        # be seen beneath the others.
        above = sum(_coincide(curve, later) for later in curves[number + 1:])
        width = WIDTH * min(1 + above, 4)
        axes.plot(when, values, marker='o' if len(curve) == 1 else None, zorder=3,
                  **{**_style(number), 'linewidth': width})
    if wants_log_scale([[value for _, value in curve] for curve in curves]):
        axes.set_yscale('log')
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))


def running_mean(values: np.ndarray, half: int) -> np.ndarray:
    """Return the mean of each value and `half` neighbours on both sides.

    At the start, of as many on both sides as there are, or a curve that falls would
    begin too low; at the end, of those before it and as many behind as there are.

    Args:
        values: (N,); where one is not a number, neither are its neighbours' means.
        half: neighbours on one side.
    """
    reach = [min(half, index) for index in range(len(values))]
    return np.array([values[index - r:index + r + 1].mean() for index, r in enumerate(reach)])


def _coincide(curve: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    mine, theirs = dict(curve), dict(other)
    common = mine.keys() & theirs.keys()
    return bool(common) and all(mine[when] == theirs[when] for when in common)


def wants_log_scale(curves: Sequence[Sequence[float]]) -> bool:
    """Whether a linear axis would hide a run at the bottom, or much of one.

    So it is with steps by factors of ten, and with runs whose rates are far apart;
    not with a rate that falls to zero at the end.
    """
    tops = [max(curve) for curve in curves if curve]
    far_apart = any(0 < top < max(tops) / 20 for top in tops)
    return far_apart or any(
        sum(0 < value < max(curve) / 20 for value in curve) > 0.3 * len(curve)
        for curve in curves if curve)


def _share_x(all_axes, by_epoch: bool) -> None:
    from matplotlib.ticker import MaxNLocator
    when = [x for axes in all_axes for line in axes.get_lines() for x in line.get_xdata()]
    low, high = min(when), max(when)
    low = 0 if low <= max(by_epoch, 0.2 * high) else low
    margin = 0.02 * (high - low) or 0.5
    for axes in all_axes:
        axes.set_xlim(low - (margin if low else 0), high + margin)
        if by_epoch and high - low >= 2:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

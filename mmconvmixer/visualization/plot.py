"""The plotter: figures of runs, such as loss, accuracies and learning rate, one panel each."""
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.logs import Log
from mmconvmixer.visualization.save import check_image_paths, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which color-blind readers can tell apart, without its yellow,
# which is too pale for a line. After these colors, the dashes change.
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
DASHES = ('-', '--', '-.', ':')

TOP1 = ('top-1 accuracy, %', ('accuracy/top1',))
# A title, and the names that the figure may have in a log.
PANELS = (
    ('training loss', ('loss',)),
    TOP1,
    ('top-5 accuracy, %', ('accuracy/top5',)),
    # base_lr if parameters have different rates: then lr is the first parameter's.
    ('learning rate', ('base_lr', 'lr')),
)
Panel = tuple[str, tuple[str, ...]]
Curve = list[tuple[float, float]]

LINE = 80  # characters in a line of the legend; a longer name is broken
FONT_SIZE = 10  # points, in the legend
BESIDE_TEXT = 0.8  # inches in a column of the legend that are not text
WIDTH = 1.6  # points, of a curve
MARKED = 40  # a curve of at most this many points has markers


def plot_logs(logs: Sequence[Log], paths: Sequence[str | Path],
              metric: str | None = None) -> None:
    """Draw runs over epochs, or over iterations if one of them has no epochs.

    Panels that no run has figures for are left out. The loss is a running mean over a
    twentieth of the log lines, above the pale logged values. The learning rate has a
    logarithmic axis where a linear one would hide much of a run.

    Args:
        logs: the runs, each in its own color, with its `name` in the legend.
        paths: image files to write, `.png` or `.svg`.
        metric: draw only this one. Default: all of `PANELS`.

    Raises:
        BadConfig: there is no run, or one of them has none of these figures.
        OutputNotWritable: a file has another suffix or cannot be written.
    """
    check_image_paths(paths, 'curves')
    if not logs:
        raise BadConfig('there is no run to draw')
    panels = PANELS if metric is None else [
        next((panel for panel in PANELS if metric in panel[1]), (metric, (metric,)))]
    for log in logs:
        if not any(_curve(log, names) for _, names in panels):
            wanted = ', '.join(name for _, names in panels for name in names)
            raise BadConfig(f'{log.path} has none of {wanted}; it has '
                            f'{", ".join(log.figures()) or "no figures"}')
    panels = [panel for panel in panels if any(_curve(log, panel[1]) for log in logs)]
    figure = _draw(logs, panels, panels[0] if metric else TOP1)
    save_figure(figure, paths)


def _draw(logs: Sequence[Log], panels: Sequence[Panel], result: Panel) -> 'Figure':
    """Return the figure; the legend gives each run's last value of `result`."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    by_epoch = all(log.epoch_length for log in logs)
    labels = [_label(log, by_epoch, result) for log in logs]
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


def _label(log: Log, by_epoch: bool, result: Panel) -> str:
    title, names = result
    measured = _curve(log, names)
    result_text = 'no validation yet'
    if measured:
        when, value = measured[-1]
        time = f'epoch {when / log.epoch_length:g}' if by_epoch else f'iteration {when:g}'
        unit = ' %' if title.endswith('%') else ''
        result_text = f'{title.removesuffix(" accuracy, %")} {value:.2f}{unit} after {time}'
    lines = textwrap.wrap(log.name, LINE)
    gap = ' ' if len(lines[-1]) + len(result_text) < LINE else '\n'
    # matplotlib leaves out a label that begins with _, and takes $...$ for a formula.
    name = '\n'.join(lines).replace('$', r'\$')
    return f'{" " if name.startswith("_") else ""}{name}:{gap}{result_text}'


def _inches(text: str) -> float:
    from matplotlib.textpath import TextPath
    # Letters drawn as pixels are up to a tenth wider than their outlines.
    return 1.1 * TextPath((0, 0), text, size=FONT_SIZE).get_extents().width / 72


def _curve(log: Log, names: Sequence[str], unit: int = 1) -> Curve:
    curve = next((curve for curve in map(log.curve, names) if curve), [])
    return [(when / unit, value) for when, value in curve]


def _style(number: int) -> dict:
    return dict(color=COLORS[number % len(COLORS)],
                linestyle=DASHES[number // len(COLORS) % len(DASHES)], linewidth=WIDTH)


def _draw_figures(axes: 'Axes', curve: Curve, number: int, smooth: bool) -> bool:
    """Draw a curve; return whether it was smoothed."""
    when, values = np.array(curve, float).reshape(-1, 2).T
    half = len(curve) // 40 if smooth and len(curve) > 2 * MARKED else 0
    if half:
        axes.plot(when, values, color=_style(number)['color'], alpha=0.3, linewidth=0.8, zorder=2)
        values = running_mean(values, half)
    marker = 'o' if len(curve) == 1 else '.' if len(curve) <= MARKED else None
    axes.plot(when, values, marker=marker, zorder=3, **_style(number))
    return bool(half)


def _draw_rates(axes: 'Axes', curves: list[Curve]) -> None:
    from matplotlib.ticker import FuncFormatter
    for number, curve in enumerate(curves):
        when, values = np.array(curve, float).reshape(-1, 2).T
        # Compared runs often have the same rates: earlier curves are wider, so that
        # they show beneath later ones.
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
    """Return the mean of each value with its `half` neighbors on both sides.

    Near the start, fewer neighbors are taken on both sides, because otherwise a falling
    curve would begin too low. Near the end, those that are missing are left out.

    Args:
        values: (N,); next to a value that is not a number, the means are not numbers.
        half: neighbors on each side.

    Returns:
        (N,)
    """
    reach = [min(half, index) for index in range(len(values))]
    return np.array([values[index - r:index + r + 1].mean() for index, r in enumerate(reach)])


def _coincide(curve: Curve, other: Curve) -> bool:
    values, other_values = dict(curve), dict(other)
    common = values.keys() & other_values.keys()
    return bool(common) and all(values[when] == other_values[when] for when in common)


def wants_log_scale(curves: Sequence[Sequence[float]]) -> bool:
    """Whether a linear axis would hide a run at the bottom, or much of one.

    That is so for steps by factors of ten, and for runs whose rates are far apart, but
    not for a rate that falls to zero at the end.
    """
    tops = [max(curve) for curve in curves if curve]
    far_apart = any(0 < top < max(tops) / 20 for top in tops)
    return far_apart or any(
        sum(0 < value < max(curve) / 20 for value in curve) > 0.3 * len(curve)
        for curve in curves if curve)


def _share_x(all_axes: 'Sequence[Axes]', by_epoch: bool) -> None:
    from matplotlib.ticker import MaxNLocator
    when = [x for axes in all_axes for line in axes.get_lines() for x in line.get_xdata()]
    low, high = min(when), max(when)
    low = 0 if low <= max(by_epoch, 0.2 * high) else low
    margin = 0.02 * (high - low) or 0.5
    for axes in all_axes:
        axes.set_xlim(low - (margin if low else 0), high + margin)
        if by_epoch and high - low >= 2:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

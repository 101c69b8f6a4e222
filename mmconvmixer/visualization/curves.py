"""Accuracy over epochs, several runs in one plot."""
from collections.abc import Sequence
from pathlib import Path

from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.figures import check_image_paths, save_figure
from mmconvmixer.visualization.runs import Run


def plot_curves(runs: Sequence[Run], path: str | Path, metric: str = 'accuracy/top1') -> None:
    """Draw one line for each run.

    Args:
        runs: those to compare.
        path: image to write, `.png` or `.svg`.
        metric: which of the metrics measured between epochs, in percent.

    Raises:
        BadConfig: a run that never measured the metric, or no run at all.
        OutputNotWritable: another ending, or see `mmconvmixer._support.atomic_write.atomic_write`.
    """
    check_image_paths([path])
    if not runs:
        raise BadConfig('there is no run to draw')
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 5), dpi=120, layout='constrained')
    axes = figure.subplots()
    for run in runs:
        points = run.curve(metric)
        if not points:
            known = {name for entry in run.record['history'] for name in entry.get('metrics', ())}
            raise BadConfig(f'{run.name} never measured {metric}; it has '
                            f'{", ".join(sorted(known)) or "no metrics at all"}')
        # The figure stands in the legend: beside the lines, those of runs that end
        # alike would cover each other.
        axes.plot(*zip(*points, strict=True), marker='.',
                  label=f'{points[-1][1]:.2f}  {run.name}')
    axes.set_xlabel('epoch')
    axes.set_ylabel(f'{metric.split("/")[-1]} on the test images, %')
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False, title='last epoch', alignment='left')
    save_figure(figure, path)

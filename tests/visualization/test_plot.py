import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mmconvmixer.errors import BadConfig, OutputNotWritable
from mmconvmixer.visualization import Log, plot, plot_logs


def log(name='mine', epochs=3, length=50, top1=True, lr=0.1, epoch_length=50):
    rows = []
    for iteration in range(10, epochs * length + 1, 10):
        rows.append(dict(iter=iteration, loss=100 / (50 + iteration), lr=lr))
        if top1 and iteration % length == 0:
            rows.append({'iter': iteration, 'accuracy/top1': 50. + iteration / length,
                         'accuracy/top5': 90.})
    return Log(name, Path(name), rows, epoch_length)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw, and return the figure rather than its file."""
    draw_figure = plot._draw

    def draw(*logs, metric=None):
        figures = []
        monkeypatch.setattr(plot, '_draw', lambda *args: figures.append(draw_figure(*args))
                            or figures[0])
        with warnings.catch_warnings():
            warnings.simplefilter('error')  # matplotlib warns of a layout that does not fit
            plot_logs(logs, [tmp_path / 'x.png'], metric)
            FigureCanvasAgg(figures[0]).draw()
        return figures[0]
    return draw


def titles(figure):
    return [axes.get_title(loc='left') for axes in figure.axes]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_panel_for_each_figure_over_epochs(drawn):
    figure = drawn(log())
    assert titles(figure) == ['training loss', 'top-1 accuracy, %', 'top-5 accuracy, %',
                              'learning rate']
    assert {axes.get_xlabel() for axes in figure.axes} == {'epoch'}
    top1, = figure.axes[1].get_lines()
    np.testing.assert_allclose(top1.get_xydata(), [(1, 51), (2, 52), (3, 53)])
    assert labels(figure) == ['mine: top-1 53.00 % after epoch 3']
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_a_run_without_validation_has_no_panel_for_it(drawn):
    figure = drawn(log(top1=False))
    assert titles(figure) == ['training loss', 'learning rate']
    assert labels(figure) == ['mine: no validation yet']


def test_a_run_without_validation_has_no_line_beside_one_that_has_it(drawn):
    figure = drawn(log(), log('other', top1=False))
    assert [len(axes.get_lines()) for axes in figure.axes] == [2, 2, 2, 2]
    assert len(figure.axes[1].get_lines()[1].get_xydata()) == 0
    assert labels(figure)[1] == 'other: no validation yet'


def test_one_run_without_epochs_draws_all_over_iterations(drawn):
    figure = drawn(log(), log('other', epoch_length=None))
    assert {axes.get_xlabel() for axes in figure.axes} == {'iteration'}
    assert figure.axes[0].get_lines()[0].get_xdata()[0] == 10


LONG = 'convmixer-256-8-patch2-kernel5_cifar10_adamw_lr0.05_wd0.005_randaugment-n2-m12_' * 3


@pytest.mark.parametrize('names', [
    ['mine'], [f'{LONG}{number}' for number in range(3)], ['W' * 200],
    [f'run{number}' for number in range(9)], [f'{LONG}{number}' for number in range(12)],
], ids=['one', 'three long', 'wide', 'nine', 'twelve long'])
@pytest.mark.parametrize('top1', [True, False])
def test_no_text_is_cut_off_and_the_legend_covers_no_panel(drawn, names, top1):
    figure = drawn(*(log(name, top1=top1) for name in names))
    whole, legend = figure.bbox, figure.legends[0].get_window_extent()
    panels = [axes.get_tightbbox() for axes in figure.axes]  # with titles and tick labels
    assert len(figure.legends[0].get_texts()) == len(names)
    for box in (legend, *panels):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= whole.x1 and box.y1 <= whole.y1
        assert not any(box.overlaps(panel) for panel in panels if panel is not box)
    assert min(axes.bbox.height for axes in figure.axes) > 200  # pixels left for the curves


def test_every_name_is_in_the_legend_unchanged(drawn):
    names = ['_hidden', 'a $x_1$ b']
    figure = drawn(*map(log, names))
    assert [label.replace(r'\$', '$').strip().split(':')[0] for label in labels(figure)] == names


def test_runs_differ_in_color_and_after_seven_in_dashes(drawn):
    figure = drawn(*(log(f'run{number}') for number in range(20)))
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.legends[0].get_lines()]
    assert len(set(looks)) == 20
    assert len({color for color, _ in looks[:7]}) == 7


def test_a_long_loss_is_smoothed_above_the_pale_logged_values(drawn):
    figure = drawn(log(epochs=100))
    raw, smooth = figure.axes[0].get_lines()
    assert 'pale: as logged' in titles(figure)[0]
    assert raw.get_alpha() < 0.5 and raw.get_zorder() < smooth.get_zorder()
    assert len(raw.get_xdata()) == len(smooth.get_xdata()) == 500


def test_the_running_mean_takes_the_neighbors():
    values = np.array([8., 4., 6., 2., 4.])
    np.testing.assert_allclose(plot.running_mean(values, 1), [8, 6, 4, 4, 3])
    np.testing.assert_allclose(plot.running_mean(values, 0), values)
    line = np.arange(9.)
    np.testing.assert_allclose(plot.running_mean(line, 3)[:6], line[:6])


STEPS = [0.1] * 30 + [0.01] * 30 + [0.001] * 30
COSINE = [0.05 * (1 + np.cos(np.pi * t)) for t in np.linspace(0, 1, 100)]


@pytest.mark.parametrize('curves, log_scale', [
    ([STEPS], True), ([COSINE], False), ([COSINE, [0.003] * 9], True),
    ([COSINE, [0.03] * 9], False), ([[0.]], False), ([[], [1.]], False)])
def test_the_rate_axis_is_logarithmic_where_a_linear_one_would_hide_rates(curves, log_scale):
    assert plot.wants_log_scale(curves) is log_scale


def test_runs_with_the_same_rates_are_all_visible(drawn):
    figure = drawn(log(), log('other'), log('third', lr=0.2))
    first, second, third = figure.axes[3].get_lines()
    assert first.get_linewidth() > second.get_linewidth() == third.get_linewidth()


def test_a_loss_that_is_not_a_number_leaves_a_gap(drawn):
    broken = log()
    broken.rows[5]['loss'] = float('nan')
    broken.rows[6]['loss'] = float('inf')
    low, high = drawn(broken).axes[0].get_ylim()
    assert 0 < low < high < 3


def test_base_lr_is_drawn_where_parameters_have_rates_of_their_own(drawn):
    own = log(top1=False)
    for row in own.rows:
        row['base_lr'] = 1.
    assert set(drawn(own).axes[1].get_lines()[0].get_ydata()) == {1.}


def test_one_metric_is_drawn_alone_with_its_last_value_in_the_legend(drawn):
    figure = drawn(log(), metric='accuracy/top5')
    assert titles(figure) == ['top-5 accuracy, %']
    assert labels(figure) == ['mine: top-5 90.00 % after epoch 3']
    figure = drawn(log(), metric='lr')
    assert titles(figure) == ['learning rate']


def test_png_and_svg_files_are_written_with_the_names(tmp_path):
    with matplotlib.rc_context({'svg.fonttype': 'none'}):
        plot_logs([log()], [tmp_path / 'x.png', tmp_path / 'X.SVG'])
    assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')
    assert 'mine: top-1 53.00 % after epoch 3' in (tmp_path / 'X.SVG').read_text()


def test_runs_without_figures_and_other_files_are_refused(tmp_path):
    with pytest.raises(BadConfig, match='there is no run'):
        plot_logs([], [tmp_path / 'x.png'])
    with pytest.raises(BadConfig, match='none of loss, accuracy/top1, .*; it has time'):
        plot_logs([Log('mine', Path('mine'), [dict(iter=1, time=2.)])], [tmp_path / 'x.png'])
    with pytest.raises(OutputNotWritable, match='x.pdf: curves are drawn as .png or .svg'):
        plot_logs([log()], [tmp_path / 'x.png', tmp_path / 'x.pdf'])
    assert list(tmp_path.iterdir()) == []

import numpy as np
import pytest
import torch

from mmconvmixer.engine.metrics import CalibrationError
from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.calibration import BINS, calibration_bins, plot_calibration


@pytest.fixture
def random(predicted):
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.full(4, 0.4), size=300)
    return predicted(generator.integers(0, 4, 300), scores=scores)


def test_bins_hold_every_image_and_their_gaps_are_the_calibration_error(random):
    means, accuracies, counts = calibration_bins(random)
    assert counts.sum() == 300 and len(counts) == BINS
    metric = CalibrationError()
    metric.process(None, [dict(gt_label=torch.tensor([label]), pred_score=torch.from_numpy(score))
                          for label, score in zip(random.labels.tolist(), random.scores,
                                                  strict=True)])
    expected = metric.compute_metrics(metric.results)['ece']
    assert 100 * (counts * abs(means - accuracies)).sum() / 300 == pytest.approx(expected, rel=1e-5)


def test_the_title_gives_the_error_and_the_bars_the_accuracies(predicted, texts, nothing_cut_off):
    figure = plot_calibration(predicted([0, 0, 1], scores=[[.9, .1], [.9, .1], [.9, .1]]))
    assert ' '.join(figure.get_suptitle().split()) == (
        'mine: mean score 90.0%, accuracy 66.7%, calibration error 23.33 points')
    bar, = figure.axes[0].patches
    assert bar.get_height() == pytest.approx(200 / 3)
    assert bar.get_x() < 0.9 < bar.get_x() + bar.get_width()
    assert [patch.get_height() for patch in figure.axes[1].patches] == [0] * 13 + [3, 0]
    assert nothing_cut_off(figure) and 'accuracy, %' in texts(figure)


def test_predictions_without_scores_are_refused(predicted):
    with pytest.raises(BadConfig, match='mine has no scores of the classes'):
        plot_calibration(predicted([0], [0]))

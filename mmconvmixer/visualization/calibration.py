"""Whether a classifier's scores can be trusted: the calibration diagram."""
from typing import TYPE_CHECKING

import numpy as np
import torch

from mmconvmixer.engine.metrics import calibration_error
from mmconvmixer.errors import BadConfig
from mmconvmixer.visualization.predictions_file import Predictions
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 15  # as in the metric CalibrationError


def plot_calibration(predictions: Predictions) -> 'Figure':
    """Draw the accuracy of images by the score of their predicted class, and how many there are.

    Bars below the diagonal are scores that promise too much, bars above it too little.

    Args:
        predictions: of a test set.

    Raises:
        BadConfig: the predictions have no scores.
    """
    means, accuracies, counts = calibration_bins(predictions)
    figure = new_figure(7, 6.5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = (np.arange(BINS) + 0.5) / BINS
    filled = counts > 0
    upper.bar(middles[filled], 100 * accuracies[filled], width=0.9 / BINS, color='#56b4e9')
    upper.plot(means[filled], 100 * accuracies[filled], 'o', color='#0072b2', markersize=4)
    upper.plot([0, 1], [0, 100], color='black', linestyle='--', linewidth=1)
    upper.set(xlim=(0, 1), ylim=(0, 100))
    upper.set_ylabel('accuracy, %', fontsize=12)
    lower.bar(middles, counts, width=0.9 / BINS, color='#999999')
    lower.set_ylabel('images', fontsize=12)
    lower.set_xlabel('score of the predicted class', fontsize=12)
    for axes in (upper, lower):
        axes.tick_params(labelsize=11)
        axes.spines[['top', 'right']].set_visible(False)
    scores = torch.from_numpy(_confidences(predictions)).double()
    error = float(calibration_error(scores, torch.from_numpy(predictions.right).double(), BINS))
    add_title(figure, f'{literal(predictions.name)}: mean score {scores.mean():.1%}, accuracy '
              f'{predictions.right.mean():.1%}, calibration error {100 * error:.2f} points')
    return figure


def calibration_bins(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean score, the accuracy and the number of images of each bin, (15,) each.

    A bin without images has the score and accuracy 0.

    Raises:
        BadConfig: the predictions have no scores.
    """
    scores = _confidences(predictions)
    groups = np.clip(np.ceil(scores.astype(np.float64) * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(groups, minlength=BINS)
    sums = (np.bincount(groups, weights, BINS) for weights in (scores, predictions.right))
    means, accuracies = (total / np.maximum(counts, 1) for total in sums)
    return means, accuracies, counts


def _confidences(predictions: Predictions) -> np.ndarray:
    if predictions.scores is None:
        raise BadConfig(f'{predictions.name} has no scores of the classes, which are needed here')
    return predictions.scores.max(axis=1)

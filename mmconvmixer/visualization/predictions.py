"""Test images with their predictions, the worst first."""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmconvmixer.errors import UnknownOption
from mmconvmixer.visualization.predictions_file import Predictions
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 100  # images in one figure
CELL = 1.9  # inches of an image
COLUMNS = 6
# Okabe and Ito's blue and vermilion, which color-blind readers can tell apart.
RIGHT, WRONG = '#0072b2', '#d55e00'


def plot_predictions(predictions: Predictions, images: Any, count: int = 24) -> 'Figure':
    """Draw the images whose true classes got the lowest scores: the wrong ones first.

    Args:
        predictions: of a test set.
        images: gives the image (H, W, 3) of a prediction by its number; see `PredictedImages`.
        count: how many to draw, at most 100.

    Raises:
        BadConfig: the predictions have no scores.
        UnknownOption: `count` is out of range.
        BadImage: an image is not there.
    """
    if not 1 <= count <= MOST:
        raise UnknownOption(f'count (--count) is {count}, but one figure has room for 1 to {MOST} '
                            'images')
    chosen = worst_first(predictions)[:count]
    figure = grid_of_images(predictions, images, chosen)
    wrong = int((~predictions.right).sum())
    add_title(figure, f'{literal(predictions.name)}: {wrong:,} of {len(predictions.labels):,} '
              f'images are wrong; the worst {len(chosen)}')
    return figure


def worst_first(predictions: Predictions) -> np.ndarray:
    """Return the numbers of all images: the wrong ones, then the right ones.

    Among them, those whose true class got the lowest score come first.

    Raises:
        BadConfig: the predictions have no scores.
    """
    return np.lexsort((predictions.true_scores, predictions.right))


def grid_of_images(predictions: Predictions, images: Any, chosen: Sequence[int] | np.ndarray
                   ) -> 'Figure':
    """Return a figure with the chosen images, their true classes and predictions."""
    columns = max(1, min(COLUMNS, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    figure = new_figure(columns * CELL + 0.2, rows * (CELL + 0.45) + 0.5)
    for axes in (grid := figure.subplots(rows, columns, squeeze=False)).flat:
        axes.set_axis_off()
    for axes, number in zip(grid.flat, chosen, strict=False):
        draw_prediction(axes, predictions, images, int(number))
    return figure


def draw_prediction(axes: 'Axes', predictions: Predictions, images: Any, number: int) -> None:
    """Draw one image, with its true class and, where that differs, the predicted one."""
    axes.imshow(images[number], interpolation='nearest')
    axes.set_axis_off()
    true, taken = predictions.labels[number], predictions.predicted[number]
    text = literal(predictions.classes[true], 20)
    if predictions.scores is not None:
        text += f': {predictions.scores[number, true]:.0%}'
    if true != taken:
        text += f'\nas {literal(predictions.classes[taken], 18)}'
        if predictions.scores is not None:
            text += f': {predictions.scores[number, taken]:.0%}'
    axes.set_title(text, fontsize=10, color=RIGHT if true == taken else WRONG)

"""How two classifiers differ on one test set."""
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmconvmixer.errors import BadConfig, UnknownOption
from mmconvmixer.visualization.confusion import confusion_counts, row_shares
from mmconvmixer.visualization.predictions import RIGHT, WRONG, draw_prediction
from mmconvmixer.visualization.predictions_file import Predictions
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLASSES = 14  # the most in the figure
MOST = 8  # images in a row
WIDTH = 12  # inches


def plot_compare(first: Predictions, second: Predictions, images: Any = None, count: int = 6
                 ) -> 'Figure':
    """Draw which images only one of two classifiers gets right, and how class accuracies differ.

    Args:
        first: predictions for a test set.
        second: another classifier's predictions for it.
        images: gives the image (H, W, 3) of a prediction by its number; see
            `PredictedImages`. None to draw none.
        count: images for each classifier, at most 8: those that the other one got most wrong.

    Raises:
        BadConfig: the predictions are for different images.
        UnknownOption: `count` is out of range.
        BadImage: an image is not there.
    """
    if not 0 <= count <= MOST:
        raise UnknownOption(f'count (--count) is {count}, but a row has room for 0 to {MOST} '
                            'images')
    check_same_images(first, second)
    if first.name == second.name:
        first, second = (replace(each, name=f'{each.name} ({place})')
                         for each, place in ((first, 'first'), (second, 'second')))
    only = only_one_right(first, second)
    rows = 2 if images is not None and count else 0
    figure = new_figure(WIDTH, 4.8 + 2.3 * rows)
    parts = figure.subfigures(1 + rows, 1, height_ratios=[4.3] + [2.3] * rows, squeeze=False)[:, 0]
    left, right = parts[0].subplots(1, 2)
    _draw_counts(left, first, second)
    _draw_classes(right, first, second)
    for part, one, other, numbers in zip(parts[1:], (first, second), (second, first), only,
                                         strict=False):
        _draw_images(part, one, other, images, numbers[:count], max(count, 1))
    accuracies = [100 * each.right.mean() for each in (first, second)]
    add_title(figure, f'{literal(first.name)} {accuracies[0]:.2f} %, {literal(second.name)} '
              f'{accuracies[1]:.2f} % of {len(first.labels):,} images: '
              f'{accuracies[1] - accuracies[0]:+.2f} points, {_chance(*map(len, only))}')
    return figure


def check_same_images(first: Predictions, second: Predictions) -> None:
    """Raise BadConfig unless the predictions are for the same images in the same order."""
    if len(first.labels) != len(second.labels):
        raise BadConfig(f'{first.name} has predictions for {len(first.labels)} images, and '
                        f'{second.name} for {len(second.labels)}; compare predictions for one test '
                        'set')
    if not np.array_equal(first.labels, second.labels):
        number = int(np.argmax(first.labels != second.labels))
        raise BadConfig(f'image {number} has label {first.labels[number]} in {first.name} and '
                        f'{second.labels[number]} in {second.name}; compare predictions for one '
                        'test set')
    if len(first.classes) != len(second.classes):
        raise BadConfig(f'{first.name} has {len(first.classes)} classes, and {second.name} has '
                        f'{len(second.classes)}; compare predictions for one test set')


def only_one_right(first: Predictions, second: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the images that only the first, and only the second, gets right.

    Those that the other one got most wrong come first, by the score of the true class.
    """
    found = []
    for one, other in ((first, second), (second, first)):
        numbers = np.flatnonzero(one.right & ~other.right)
        if other.scores is not None:
            numbers = numbers[np.argsort(other.true_scores[numbers], kind='stable')]
        found.append(numbers)
    return found[0], found[1]


def chance_of_difference(only_first: int, only_second: int) -> float:
    """Return how likely two equally good classifiers differ this much (McNemar's exact test)."""
    from scipy.stats import binomtest
    total = only_first + only_second
    return float(binomtest(only_first, total).pvalue) if total else 1.


def _chance(only_first: int, only_second: int) -> str:
    chance = chance_of_difference(only_first, only_second)
    return ('p < 0.001' if chance < 0.001 else f'p = {chance:.3f}') + " by McNemar's test"


def _draw_counts(axes: 'Axes', first: Predictions, second: Predictions) -> None:
    names = [literal(each.name, 34) for each in (first, second)]
    groups = {'both right': first.right & second.right,
              f'only\n{names[0]}': first.right & ~second.right,
              f'only\n{names[1]}': ~first.right & second.right,
              'both wrong': ~first.right & ~second.right}
    values = [int(group.sum()) for group in groups.values()]
    axes.barh(range(4), values, color=['#999999', WRONG, RIGHT, '#444444'])
    axes.set_yticks(range(4), list(groups), fontsize=11)
    for row, value in enumerate(values):
        axes.text(value, row, f' {value:,}', va='center', fontsize=11)
    axes.margins(x=0.18)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines[['top', 'right', 'bottom']].set_visible(False)
    axes.set_title('images that are right', fontsize=12)


def _draw_classes(axes: 'Axes', first: Predictions, second: Predictions) -> None:
    differences = class_differences(first, second)
    chosen = np.argsort(-abs(differences), kind='stable')[:CLASSES]
    chosen = chosen[np.argsort(-differences[chosen], kind='stable')]
    values = differences[chosen]
    axes.barh(range(len(chosen)), values, color=np.where(values < 0, WRONG, RIGHT))
    axes.set_yticks(range(len(chosen)), [literal(first.classes[label], 22) for label in chosen],
                    fontsize=11)
    for row, value in enumerate(values):
        axes.text(value, row, f' {value:+.1f} ', va='center', fontsize=10,
                  ha='left' if value >= 0 else 'right')
    axes.margins(x=0.18)
    axes.axvline(0, color='black', linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines[['top', 'right', 'bottom', 'left']].set_visible(False)
    axes.set_title(f'accuracy of classes: points of\n{literal(second.name, 40)} over the other'
                   + ('' if len(chosen) == len(differences) else ', where largest'), fontsize=12)


def class_differences(first: Predictions, second: Predictions) -> np.ndarray:
    """Return how much higher each class's accuracy is in the second, (classes,), in points."""
    accuracies = [np.diag(row_shares(confusion_counts(each))) for each in (first, second)]
    return accuracies[1] - accuracies[0]


def _draw_images(part: Any, one: Predictions, other: Predictions, images: Any,
                 numbers: np.ndarray, columns: int) -> None:
    part.suptitle(f'only {literal(one.name, 40)} is right; what {literal(other.name, 40)} says',
                  fontsize=12)
    row = part.subplots(1, columns, squeeze=False)[0]
    for axes in row:
        axes.set_axis_off()
    for axes, number in zip(row, numbers, strict=False):
        draw_prediction(axes, other, images, int(number))

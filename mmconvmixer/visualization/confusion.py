"""What a classifier confuses: the confusion matrix, and the most confused pairs by name."""
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.visualization.predictions_file import Predictions
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WITH_VALUES = 20  # with at most this many classes, cells have room for numbers
WITH_NAMES = 110  # and rows have room for names
CELLS = 250  # the most in a row; of more classes, a cell shows the largest of its values
PAIRS = 12


def plot_confusion(predictions: Predictions, pairs: int = PAIRS) -> 'Figure':
    """Draw the confusion matrix, in percent of each true class, and the most confused pairs.

    Up to 20 classes have numbers in the cells, and stay in their order. More than that are
    sorted so that classes that are confused with each other lie side by side.

    Args:
        predictions: of a test set.
        pairs: how many pairs to name.
    """
    counts = confusion_counts(predictions)
    shares = row_shares(counts)
    classes = len(counts)
    small = classes <= WITH_VALUES
    width, height = (13, 6.6) if small else (16.5, 9.5)
    figure = new_figure(width, height)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2) if small else (2, 1))
    if small:
        _draw_with_values(left, shares, predictions.classes)
    else:
        order = side_by_side(counts)
        _draw_many(left, shares[np.ix_(order, order)], [predictions.classes[each]
                                                        for each in order])
    _draw_pairs(right, most_confused(counts, pairs), counts, predictions.classes)
    accuracy = np.diag(counts).sum() / max(counts.sum(), 1)
    add_title(figure, f'{literal(predictions.name)}: {accuracy:.2%} of {counts.sum():,} images are '
              'right')
    return figure


def confusion_counts(predictions: Predictions) -> np.ndarray:
    """Return how many images of class i were taken for class j, (classes, classes)."""
    from sklearn.metrics import confusion_matrix
    return confusion_matrix(predictions.labels, predictions.predicted,
                            labels=np.arange(len(predictions.classes)))


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Return the rows in percent of their sum, which puts class accuracies on the diagonal.

    Rows of classes without images are 0.
    """
    return 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def most_confused(counts: np.ndarray, pairs: int) -> list[tuple[int, int]]:
    """Return (true, predicted) of the most frequent confusions, the most frequent first.

    Of equally frequent ones, those of the class with fewer images come first.
    """
    confused = [(int(true), int(taken)) for true, taken in np.argwhere(counts) if true != taken]
    totals = counts.sum(axis=1)
    return sorted(confused, key=lambda pair: (-counts[pair], totals[pair[0]], pair))[:pairs]


def side_by_side(counts: np.ndarray) -> np.ndarray:
    """Return an order of the classes in which those that are often confused lie side by side."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform
    shares = row_shares(counts)
    together = shares + shares.T
    distances = together.max(initial=1.) - together
    np.fill_diagonal(distances, 0)
    return leaves_list(linkage(squareform(distances.clip(min=0), checks=False), 'average'))


def _draw_with_values(axes: 'Axes', shares: np.ndarray, classes: list[str]) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay
    names = [literal(name, 16) for name in classes]
    shown = ConfusionMatrixDisplay(shares, display_labels=names)
    shown.plot(ax=axes, cmap='Blues', values_format='.0f', colorbar=False,
               xticks_rotation=45 if max(map(len, names)) > 3 else 'horizontal',
               im_kw=dict(vmin=0, vmax=100),
               text_kw=dict(fontsize=12 if len(classes) <= 12 else 8))
    for label in axes.get_xticklabels():
        label.set(ha='right' if label.get_rotation() else 'center', rotation_mode='anchor')
    axes.tick_params(labelsize=11)
    axes.set_xlabel('predicted class', fontsize=12)
    axes.set_ylabel('true class', fontsize=12)
    axes.set_title('percent of each true class', fontsize=12)


def _draw_many(axes: 'Axes', shares: np.ndarray, classes: list[str]) -> None:
    from matplotlib.colors import PowerNorm
    count = len(classes)
    step = -(-count // CELLS)
    padded = np.zeros((-(-count // step) * step,) * 2)
    padded[:count, :count] = shares
    cells = padded.reshape(len(padded) // step, step, -1, step).max(axis=(1, 3))
    drawn = axes.imshow(cells, cmap='Blues', norm=PowerNorm(0.5, 0, 100), extent=(
        -0.5, len(padded) - 0.5, len(padded) - 0.5, -0.5), interpolation='nearest')
    axes.set_anchor('W')  # otherwise names on the left may be cut off
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.5, aspect=30, ticks=[0, 1, 5, 20, 50, 100])
    bar.ax.tick_params(labelsize=11)
    axes.set_title('percent of each true class' + (
        f', the largest of {step} x {step} classes' if step > 1 else ''), fontsize=13)
    axes.set_xlabel('predicted class, in the same order', fontsize=13)
    axes.set_xticks([])
    axes.set_yticks([])
    if count <= WITH_NAMES:  # in two columns, so that each name has the height of two rows
        names = [literal(name, 18) for name in classes]
        axes.set_yticks(range(0, count, 2), names[::2], fontsize=8)
        axes.set_yticks(range(1, count, 2), names[1::2], fontsize=8, minor=True)
        axes.tick_params(axis='y', which='minor', length=78, width=0.3, color='gray')
    else:
        axes.set_ylabel(f'{count:,} true classes; those that are often confused lie side by side',
                        fontsize=13)


def _draw_pairs(axes: 'Axes', pairs: list[tuple[int, int]], counts: np.ndarray,
                classes: list[str]) -> None:
    values = [counts[pair] for pair in pairs]
    axes.barh(range(len(pairs)), values, color='#56b4e9')
    axes.set_yticks(range(len(pairs)), [_pair_name(classes[true], classes[taken])
                                        for true, taken in pairs], fontsize=10)
    for row, (pair, value) in enumerate(zip(pairs, values, strict=True)):
        axes.text(0, row, f' {value:,} of {counts[pair[0]].sum():,}', va='center', fontsize=10)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines[['top', 'right', 'bottom']].set_visible(False)
    axes.set_title('most confused pairs' if pairs else 'no image is wrong', fontsize=12)


def _pair_name(true: str, taken: str) -> str:
    between = ' as ' if len(true) + len(taken) <= 22 else ' as\n'
    return between.join(literal(name, 22) for name in (true, taken))

import numpy as np
import pytest
import torch

from mmconvmixer.engine.metrics import PerClassAccuracy
from mmconvmixer.visualization.confusion import (
    confusion_counts,
    most_confused,
    plot_confusion,
    row_shares,
    side_by_side,
)

LABELS, TAKEN = [0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 1, 1, 1, 0, 2, 2, 2, 0]


def test_rows_are_true_classes(predicted):
    counts = confusion_counts(predicted(LABELS, TAKEN))
    np.testing.assert_array_equal(counts, [[1, 2, 0], [1, 1, 0], [1, 0, 3]])


def test_the_diagonal_over_its_rows_is_the_accuracy_of_the_classes(predicted):
    generator = np.random.default_rng(0)
    labels, taken = generator.integers(0, 7, (2, 500))
    labels[labels == 4] = 3  # a class without images
    metric = PerClassAccuracy()
    metric.process(None, [dict(gt_label=torch.tensor([label]), pred_label=torch.tensor([guess]))
                          for label, guess in zip(labels.tolist(), taken.tolist(), strict=True)])
    accuracies = metric.compute_metrics(metric.results)['per_class']
    shares = row_shares(confusion_counts(predicted(labels, taken)))
    assert len(accuracies) == 6 and shares[4].sum() == 0
    for label, accuracy in accuracies.items():
        assert shares[int(label), int(label)] == pytest.approx(accuracy)


def test_the_most_confused_pairs_come_first_and_then_those_of_small_classes(predicted):
    counts = confusion_counts(predicted(LABELS, TAKEN))
    assert most_confused(counts, 9) == [(0, 1), (1, 0), (2, 0)]
    assert most_confused(counts, 1) == [(0, 1)]


def test_classes_that_are_confused_lie_side_by_side():
    counts = 50 * np.eye(8, dtype=int)
    for one, other in ((0, 5), (1, 6), (2, 7)):
        counts[one, other] = counts[other, one] = 20
    order = side_by_side(counts).tolist()
    assert sorted(order) == list(range(8))
    assert all(abs(order.index(one) - order.index(other)) == 1
               for one, other in ((0, 5), (1, 6), (2, 7)))


def test_few_classes_have_percentages_in_the_cells_and_named_pairs(predicted, texts,
                                                                   nothing_cut_off):
    figure = plot_confusion(predicted(LABELS, TAKEN, names=['cat', 'dog', 'ship']))
    shown = texts(figure)
    assert {'67', '33', '50', '25', '75', 'ship', 'cat as dog', ' 2 of 3', ' 1 of 4',
            'mine: 55.56% of 9 images are right'} <= set(shown)
    assert nothing_cut_off(figure)


def in_groups(predicted, classes, size):
    """Predictions in which each class is sometimes taken for the next of its group."""
    labels = np.repeat(np.arange(classes), 10)
    taken = labels.copy()
    taken[::5] = labels[::5] // size * size + (labels[::5] + 1) % size
    return predicted(labels, taken, names=[f'class {label}' for label in range(classes)])


@pytest.mark.parametrize('classes', [20, 100, 1000])
def test_many_classes_are_readable(predicted, texts, nothing_cut_off, classes):
    figure = plot_confusion(in_groups(predicted, classes, 5))
    shown = texts(figure)
    assert sum(' as' in text for text in shown) == 12
    named = sum(text.startswith('class ') and ' as' not in text for text in shown)
    assert named == {20: 40, 100: 100, 1000: 0}[classes]
    assert nothing_cut_off(figure)
    heights = [label.get_window_extent().height for label in figure.axes[0].get_yticklabels()]
    rows = figure.axes[0].bbox.height / classes
    assert not heights or max(heights) < (1 if classes == 20 else 2) * rows


def test_no_value_is_lost_where_cells_stand_for_several_classes(predicted):
    figure = plot_confusion(in_groups(predicted, 1000, 5))
    cells = figure.axes[0].get_images()[0].get_array()
    assert cells.shape == (250, 250)
    assert '4 x 4 classes' in figure.axes[0].get_title()
    assert cells.max() == 80
    # Every group lies together, so that nothing is far from the diagonal.
    rows, columns = np.nonzero(np.asarray(cells))
    assert abs(rows - columns).max() <= 1


def test_a_perfect_classifier_has_no_pairs(predicted, texts):
    assert 'no image is wrong' in texts(plot_confusion(predicted([0, 1], [0, 1])))

import numpy as np
import pytest

from mmconvmixer.errors import BadConfig, BadImage, UnknownOption
from mmconvmixer.visualization.compare import (
    chance_of_difference,
    class_differences,
    only_one_right,
    plot_compare,
)
from mmconvmixer.visualization.predicted_images import PredictedImages

LABELS = [0, 0, 1, 1, 1]
IMAGES = [np.full((2, 2, 3), number, np.uint8) for number in range(5)]


@pytest.fixture
def two(predicted):
    """Two classifiers: the first alone is right about 0 and 3, the second about 2."""
    first = [[.9, .1], [.8, .2], [.7, .3], [.1, .9], [.6, .4]]
    second = [[.4, .6], [.7, .3], [.1, .9], [.9, .1], [.8, .2]]
    return (predicted(LABELS, scores=first, names=['cat', 'dog'], name='small'),
            predicted(LABELS, scores=second, names=['cat', 'dog'], name='large'))


def test_images_that_the_other_got_most_wrong_come_first(two):
    only_first, only_second = only_one_right(*two)
    assert only_first.tolist() == [3, 0] and only_second.tolist() == [2]


def test_differences_are_those_of_the_class_accuracies(two):
    np.testing.assert_allclose(class_differences(*two), [-50, 0])


@pytest.mark.parametrize('only, chance', [
    ((0, 0), 1), ((1, 0), 1), ((0, 6), 2 / 64), ((5, 5), 1), ((1, 5), 14 / 64)])
def test_the_chance_is_that_of_a_fair_coin(only, chance):
    assert chance_of_difference(*only) == pytest.approx(chance)


def test_the_figure_has_counts_differences_and_images(two, texts, nothing_cut_off):
    figure = plot_compare(*two, IMAGES, count=2)
    shown = texts(figure)
    assert ("small 60.00 %, large 40.00 % of 5 images: -20.00 points, p = 1.000 by McNemar's test"
            in ' '.join(figure.get_suptitle().split()))
    counts = [patch.get_width() for patch in figure.axes[0].patches]
    assert counts == [1, 2, 1, 1]
    assert {' -50.0 ', ' +0.0 ', 'dog: 10%\nas cat: 90%', 'cat: 40%\nas dog: 60%',
            'dog: 30%\nas cat: 70%', 'only small is right; what large says'} <= set(shown)
    drawn = [axes.get_images()[0].get_array()[0, 0, 0] for axes in figure.axes
             if axes.get_images()]
    assert drawn == [3, 0, 2]
    assert nothing_cut_off(figure)


def test_two_of_the_same_name_are_told_apart(predicted):
    figure = plot_compare(predicted(LABELS, LABELS), predicted(LABELS, [0, 0, 0, 0, 0]))
    assert figure.get_suptitle().startswith('mine (first) 100.00 %, mine (second) 40.00 %')


def test_without_images_only_figures_are_drawn(two, nothing_cut_off):
    assert len(plot_compare(*two).axes) == 2
    assert len(plot_compare(*two, IMAGES, count=0).axes) == 2


def test_of_many_classes_those_that_differ_most_are_drawn(predicted, nothing_cut_off):
    labels = np.repeat(np.arange(40), 50)
    worse = labels.copy()
    for label in range(40):
        worse[labels == label] = np.where(np.arange(50) < label, (label + 1) % 40, label)
    figure = plot_compare(predicted(labels, worse), predicted(labels, labels))
    names = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert names == [str(label) for label in range(39, 25, -1)]
    assert nothing_cut_off(figure)


def test_predictions_for_other_images_are_refused(predicted):
    for other, said in (
            (predicted([0], [1]), 'mine has predictions for 5 images, and mine for 1'),
            (predicted([0, 0, 1, 0, 1], LABELS), 'image 3 has label 1 in mine and 0 in mine'),
            (predicted(LABELS, [0, 0, 1, 1, 2]), 'has 2 classes, and mine has 3')):
        with pytest.raises(BadConfig, match=said):
            plot_compare(predicted(LABELS, LABELS), other)


def test_a_number_out_of_range_and_missing_images_are_named(two):
    with pytest.raises(UnknownOption, match=r'\(--count\) is 9, .* 0 to 8'):
        plot_compare(*two, IMAGES, count=9)
    with pytest.raises(BadImage, match='image 3 of the predictions is not there'):
        plot_compare(*two, PredictedImages(two[0]))

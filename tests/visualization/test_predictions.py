import numpy as np
import pytest

from mmconvmixer.errors import UnknownOption
from mmconvmixer.visualization.predictions import RIGHT, WRONG, plot_predictions, worst_first

LABELS = [0, 1, 0, 1]
SCORES = [[0.4, 0.6], [0.3, 0.7], [0.01, 0.99], [0.45, 0.55]]
IMAGES = [np.full((2, 2, 3), number, np.uint8) for number in range(4)]


def test_the_wrong_ones_come_first_and_the_least_likely_of_them(predicted):
    assert worst_first(predicted(LABELS, scores=SCORES)).tolist() == [2, 0, 3, 1]


def test_each_image_has_its_true_class_and_what_it_was_taken_for(predicted, texts, nothing_cut_off):
    figure = plot_predictions(predicted(LABELS, scores=SCORES, names=['cat', 'dog']), IMAGES, 3)
    titles = [axes.title for axes in figure.axes]
    assert [title.get_text() for title in titles] == [
        'cat: 1%\nas dog: 99%', 'cat: 40%\nas dog: 60%', 'dog: 55%']
    assert [title.get_color() for title in titles] == [WRONG, WRONG, RIGHT]
    drawn = [axes.get_images()[0].get_array()[0, 0, 0] for axes in figure.axes]
    assert drawn == [2, 0, 3]
    assert 'mine: 2 of 4 images are wrong; the worst 3' in texts(figure)
    assert nothing_cut_off(figure)


@pytest.mark.parametrize('count', [0, 101])
def test_a_number_out_of_range_is_refused(predicted, count):
    with pytest.raises(UnknownOption, match=rf'--count\) is {count}, .* room for 1 to 100'):
        plot_predictions(predicted(LABELS, scores=SCORES), IMAGES, count)

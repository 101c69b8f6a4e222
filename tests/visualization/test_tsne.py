import numpy as np
import pytest

from mmconvmixer.visualization.labelled_features import LabelledFeatures
from mmconvmixer.visualization.tsne import NAMED, embedded, plot_tsne


def grouped(classes, each, channels=16):
    """Features in well separated groups, one for each class."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), each)
    middles = 20 * generator.normal(size=(classes, channels))
    features = middles[labels] + generator.normal(size=(len(labels), channels))
    predicted = labels.copy()
    predicted[::10] = (labels[::10] + 1) % classes
    return LabelledFeatures(features.astype(np.float32), labels, predicted,
                            [f'class {label}' for label in range(classes)])


def test_images_with_similar_features_lie_together():
    found = grouped(4, 30)
    points = embedded(found.features)
    middles = np.array([points[found.labels == label].mean(axis=0) for label in range(4)])
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, found.labels)
    np.testing.assert_array_equal(embedded(found.features), points)


@pytest.mark.parametrize('count, channels', [(2, 8), (5, 1), (60, 100)])
def test_few_images_and_channels_suffice(count, channels):
    features = np.random.default_rng(0).normal(size=(count, channels)).astype(np.float32)
    points = embedded(features)
    assert points.shape == (count, 2) and np.isfinite(points).all()


def test_wrong_predictions_are_crosses_and_classes_are_named(texts, nothing_cut_off):
    found = grouped(4, 30)
    figure = plot_tsne(found, 'mine')
    dots, crosses = figure.axes[0].collections
    assert len(dots.get_offsets()) == 108 and len(crosses.get_offsets()) == 12
    names = {f'class {label}' for label in range(4)}
    assert {text.get_text() for text in figure.axes[0].texts} == names
    assert {text.get_text().strip() for text in figure.legends[0].get_texts()} == names
    assert 'crosses are the 12 wrong ones' in ' '.join(' '.join(texts(figure)).split())
    assert nothing_cut_off(figure)


def test_names_of_many_classes_do_not_cover_each_other(nothing_cut_off):
    figure = plot_tsne(grouped(60, 4))
    axes = figure.axes[0]
    assert nothing_cut_off(figure) and not figure.legends
    boxes = [text.get_bbox_patch().get_window_extent() for text in axes.texts]
    assert 10 <= len(boxes) <= NAMED
    assert not any(one.overlaps(other) for number, one in enumerate(boxes)
                   for other in boxes[:number])

"""How a classifier's features of its test set lie: t-SNE in two dimensions."""
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.visualization.labelled_features import LabelledFeatures
from mmconvmixer.visualization.save import add_title, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 9  # inches
NAMED = 30  # the most class names in the figure
LONGEST = 16  # characters of a name
COMPONENTS = 50  # of the features, before t-SNE


def plot_tsne(found: LabelledFeatures, name: str = 'network') -> 'Figure':
    """Draw a point for each image, colored by its true class; a cross is a wrong prediction.

    Images with similar features lie together. Distances between groups mean nothing. Names are
    at the middle of at most 30 classes, those whose points lie closest together, and names that
    would cover others are left out.

    Args:
        found: features of at least two images.
        name: what the title calls the network.
    """
    from matplotlib.lines import Line2D
    points = embedded(found.features)
    shown = np.unique(found.labels)
    colors = _colors(len(found.classes))
    right = found.labels == found.predicted
    figure = new_figure(SIDE, SIDE)
    axes = figure.subplots()
    for chosen, marker, size in ((right, 'o', 14), (~right, 'x', 26)):
        axes.scatter(*points[chosen].T, c=colors[found.labels[chosen]], marker=marker, s=size,
                     linewidths=1.2 if marker == 'x' else 0)
    for label, (x, y) in _named_places(points, found.labels, shown, found.classes):
        axes.text(x, y, literal(found.classes[label], LONGEST), fontsize=11, ha='center',
                  va='center', bbox=dict(boxstyle='round,pad=0.2', facecolor='white', alpha=0.8,
                                         edgecolor=colors[label]))
    if len(shown) <= 20:
        figure.legend(handles=[Line2D([], [], linestyle='', marker='o', color=colors[label],
                                      label=f' {literal(found.classes[label], LONGEST)}')
                               for label in shown],
                      loc='outside lower center', ncols=5, frameon=False, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    add_title(figure, f'{literal(name)}: features of {len(points):,} test images by t-SNE; '
              f'crosses are the {(~right).sum():,} wrong ones')
    return figure


def embedded(features: np.ndarray) -> np.ndarray:
    """Return points (N, 2) for features (N, channels); the same ones in each call."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    count = min(COMPONENTS, *features.shape)
    reduced = PCA(count, random_state=0).fit_transform(features)
    # Its default of 30 neighbors needs more than 30 images.
    perplexity = min(30, max(1, (len(features) - 1) / 3))
    return TSNE(perplexity=perplexity, init='pca' if count > 1 else 'random',
                random_state=0).fit_transform(reduced)


def _colors(count: int) -> np.ndarray:
    """Return a color (red, green, blue, 1) for each class."""
    from matplotlib import colormaps
    if count <= 20:
        table = colormaps['tab10' if count <= 10 else 'tab20'].colors
        return np.array([(*table[label], 1) for label in range(count)])
    return colormaps['hsv'](np.arange(count) * 0.618034 % 1)  # neighbors differ


def _named_places(points: np.ndarray, labels: np.ndarray, shown: np.ndarray,
                  classes: list[str]) -> list[tuple[int, np.ndarray]]:
    """Return classes and their middles, where their names cover no other name."""
    middles = {int(label): np.median(points[labels == label], axis=0) for label in shown}
    spreads = {label: np.median(np.linalg.norm(points[labels == label] - middle, axis=1))
               for label, middle in middles.items()}
    inch = np.ptp(points, axis=0) / SIDE
    places: list[tuple[int, np.ndarray]] = []
    for label in sorted(middles, key=lambda label: spreads[label])[:NAMED]:
        apart = (abs(middles[label] - middle) / np.maximum(inch, 1e-12) > (
            0.05 * (_length(classes, label) + _length(classes, other)) + 0.1, 0.3)
            for other, middle in places)
        if all(each.any() for each in apart):
            places.append((label, middles[label]))
    return places


def _length(classes: list[str], label: int) -> int:
    return min(LONGEST, len(classes[label]))

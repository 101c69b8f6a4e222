import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mmconvmixer import get_model
from mmconvmixer.visualization.predictions_file import Predictions


@pytest.fixture(scope='session')
def digits():
    """The model whose weights and images come with the packages."""
    return get_model('convmixer-64-4_digits', pretrained=True)


@pytest.fixture(scope='session')
def mixer():
    """An MLP-Mixer of two blocks with random weights, on a grid of 3 x 3 patches."""
    from mmengine import Config
    config = Config(dict(
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='MlpMixer', img_size=24, patch_size=8, arch=dict(
                embed_dims=16, num_layers=2, tokens_mlp_dims=20, channels_mlp_dims=32)),
            neck=dict(type='GlobalAveragePooling', dim=1),
            head=dict(type='LinearClsHead', num_classes=4, in_channels=16)),
        test_dataloader=dict(dataset=dict(type='CustomDataset', pipeline=[
            dict(type='LoadImageFromFile'), dict(type='Resize', scale=(24, 24)),
            dict(type='PackInputs')]))))
    return get_model(config)


@pytest.fixture(scope='session')
def digit_images():
    """Images of the digits 0 to 9, (8, 8) uint8 each."""
    from sklearn.datasets import load_digits
    return [np.rint(image * (255 / 16)).astype(np.uint8) for image in load_digits().images[:10]]


@pytest.fixture(scope='session')
def predicted():
    """Make predictions of classes `names` from true labels and predicted ones, or from scores."""
    def make(labels, taken=None, scores=None, names=None, paths=None, name='mine'):
        labels = np.asarray(labels)
        if scores is not None:
            scores = np.asarray(scores, np.float32)
            taken = scores.argmax(axis=1)
        taken = np.asarray(taken)
        count = max(labels.max(), taken.max()) + 1 if scores is None else scores.shape[1]
        return Predictions(name, labels, taken, scores, paths or [None] * len(labels),
                           list(names or map(str, range(count))))
    return make


@pytest.fixture(scope='session')
def texts():
    """All texts of a figure that are visible, after it was drawn."""
    def of(figure):
        FigureCanvasAgg(figure).draw()
        return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, 'get_text'))
                if text.get_visible() and text.get_text()]
    return of


@pytest.fixture(scope='session')
def nothing_cut_off():
    """Whether the title and every axes, with its texts, lie inside of a figure."""
    def check(figure):
        FigureCanvasAgg(figure).draw()
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        boxes.append(figure._suptitle.get_window_extent())
        return all(box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1
                   and box.y1 <= figure.bbox.y1 + 1 for box in boxes if box is not None)
    return check

"""Draw what a network is made of, and what it does with images.

    %(prog)s filters convmixer-768-32_3rdparty_in1k
    %(prog)s cam convmixer-768-32_3rdparty_in1k image.jpg
    %(prog)s confusion predictions.json
    %(prog)s SUBJECT --help

MODEL is a model name, a config, the work dir of a run, or a checkpoint in one.
"""
import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmconvmixer.cli.common import run_command
from mmconvmixer.cli.predictions_of import (
    add_config_of_images,
    add_data,
    add_source,
    predictions_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mmengine.model import BaseModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a parser for each subject."""
    subjects = parser.add_subparsers(dest='subject', required=True, metavar='SUBJECT',
                                     title='subjects')
    for name, (text, add, _) in SUBJECTS.items():
        subject = subjects.add_parser(name, help=text, description=f'Draw {text}.')
        add(subject)
        subject.add_argument('--out', action='append', metavar='FILE',
                             help='image to write, .png or .svg; may be given several times '
                             f'(default: {name}.png)')


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', metavar='MODEL',
                        help='model name, config, work dir of a run, or a checkpoint in one')
    parser.add_argument('--checkpoint', help='path, URL or name of other weights')


def _add_model_and_images(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    _add_images(parser)


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('images', nargs='+', metavar='IMAGE',
                        help='path or URL of an image, or a folder of images')


def _paths(images: list[str]) -> list[Any]:
    from mmconvmixer.datasets.image_input import images_in
    return [path for image in images
            for path in (images_in(image) if os.path.isdir(image) else [image])]


def _load(model: str, checkpoint: str | None) -> 'BaseModel':
    from mmconvmixer.visualization.sources import source_of
    from mmconvmixer.zoo import get_model
    config, weights = source_of(model, checkpoint)
    return get_model(config, pretrained=weights or True)


def _filters(model: str, checkpoint: str | None) -> 'Figure':
    from mmconvmixer.visualization.filters import plot_filters
    return plot_filters(_load(model, checkpoint), model)


def _kernels(model: str, checkpoint: str | None) -> 'Figure':
    from mmconvmixer.visualization.kernels import plot_kernels
    return plot_kernels(_load(model, checkpoint), model)


def _add_cam(parser: argparse.ArgumentParser) -> None:
    _add_model_and_images(parser)
    parser.add_argument('--class', dest='label', metavar='CLASS',
                        help='name or number of a class (default: the most likely one)')
    parser.add_argument('--method', metavar='M',
                        help='cam (exact; default for a linear head after pooling), gradcam, '
                        'gradcam++, xgradcam, eigencam, eigengradcam or layercam')
    parser.add_argument('--layer', metavar='NAME', help='layer to look at, such as '
                        'backbone.stages.2 (default: the last block)')


def _cam(model: str, checkpoint: str | None, images: list[str], **options: Any) -> 'Figure':
    from mmconvmixer.visualization.cam import plot_cam
    paths = _paths(images)
    return plot_cam(_load(model, checkpoint), paths, name=model, **options)


def _features(model: str, checkpoint: str | None, images: list[str]) -> 'Figure':
    from mmconvmixer.visualization.features import plot_features
    paths = _paths(images)
    return plot_features(_load(model, checkpoint), paths, model)


def _receptive_field(model: str, checkpoint: str | None, images: list[str]) -> 'Figure':
    from mmconvmixer.visualization.receptive_field import plot_receptive_field
    paths = _paths(images)
    return plot_receptive_field(_load(model, checkpoint), paths, model)


def _add_predictions(parser: argparse.ArgumentParser) -> None:
    add_source(parser, 'PREDICTIONS|MODEL')


def _confusion(source: str, checkpoint: str | None, data: str | None) -> 'Figure':
    from mmconvmixer.visualization.confusion import plot_confusion
    return plot_confusion(predictions_of(source, checkpoint, data)[0])


def _add_images_of_predictions(parser: argparse.ArgumentParser) -> None:
    _add_predictions(parser)
    add_config_of_images(parser)
    parser.add_argument('--count', type=int, default=24, metavar='N',
                        help='how many images to draw (default: 24)')


def _worst(source: str, checkpoint: str | None, data: str | None, config: str | None,
           count: int) -> 'Figure':
    from mmconvmixer.visualization.predicted_images import PredictedImages
    from mmconvmixer.visualization.predictions import plot_predictions
    predictions, tested = predictions_of(source, checkpoint, data)
    return plot_predictions(predictions, PredictedImages(predictions, config or tested), count)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    for name in ('first', 'second'):
        parser.add_argument(name, metavar='PREDICTIONS|MODEL',
                            help=f'the {name}, as for confusion')
    add_data(parser)
    add_config_of_images(parser)
    parser.add_argument('--count', type=int, default=6, metavar='N',
                        help='images for each of the two, 0 for none (default: 6)')


def _compare(first: str, second: str, data: str | None, config: str | None, count: int
             ) -> 'Figure':
    from mmconvmixer.visualization.compare import plot_compare
    from mmconvmixer.visualization.predicted_images import PredictedImages
    one, tested = predictions_of(first, None, data)
    other, _ = predictions_of(second, None, data)
    return plot_compare(one, other, PredictedImages(one, config or tested), count)


def _add_tsne(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument('--data', metavar='DIR',
                        help="images to use, one folder per class (default: the config's test set)")
    parser.add_argument('--images', dest='count', type=int, default=1000, metavar='N',
                        help='how many, drawn at random (default: 1000)')


def _tsne(model: str, checkpoint: str | None, data: str | None, count: int) -> 'Figure':
    from mmconvmixer.visualization.labelled_features import labelled_features
    from mmconvmixer.visualization.tsne import plot_tsne
    return plot_tsne(labelled_features(_load(model, checkpoint), count, data), model)


def _add_augment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help='config of a training, or a model name')
    _add_images(parser)
    parser.add_argument('--rows', type=int, default=6, metavar='N',
                        help='how many random draws to show (default: 6)')
    parser.add_argument('--seed', type=int, default=0, metavar='N',
                        help='seed of the draws (default: 0)')


def _augment(config: str, images: list[str], **options: Any) -> 'Figure':
    from mmconvmixer.visualization.augment import plot_augment
    from mmconvmixer.visualization.sources import source_of
    from mmconvmixer.zoo import load_config
    paths = _paths(images)
    return plot_augment(load_config(source_of(config)[0]), paths, name=Path(config).stem,
                             **options)


# Subject -> what is drawn, a function that adds its arguments, and one that draws them.
SUBJECTS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None],
                          Callable[..., 'Figure']]] = {
    'filters': ('the filters of the patch embedding', _add_model, _filters),
    'kernels': ('what mixes space in each block', _add_model, _kernels),
    'cam': ('where a classifier looked in images', _add_cam, _cam),
    'features': ('what feature maps distinguish, as colors', _add_model_and_images, _features),
    'receptive-field': ('what pixels a feature depends on', _add_model_and_images,
                        _receptive_field),
    'predictions': ('test images with their predictions, the worst first',
                    _add_images_of_predictions, _worst),
    'confusion': ('what a classifier confuses', _add_predictions, _confusion),
    'compare': ('how two classifiers differ on one test set', _add_compare, _compare),
    'tsne': ('how features of test images lie, in two dimensions', _add_tsne, _tsne),
    'augment': ('what training does to images, step by step', _add_augment, _augment),
}


def run(subject: str, out: list[str] | None, **options: Any) -> None:
    """Draw one subject; see `mmconvmixer.visualization`."""
    from mmconvmixer.visualization.save import check_image_paths, save_figure
    paths = out or [f'{subject}.png']
    check_image_paths(paths)
    figure = SUBJECTS[subject][2](**options)
    save_figure(figure, paths)
    title = ' '.join(figure.get_suptitle().replace(r'\$', '$').split())
    print(f'wrote {", ".join(paths)}: {title}')


def main(argv: list[str] | None = None, prog: str = 'python tools/visualize.py') -> int:
    """Run the command and return its exit code."""
    return run_command(__doc__, add_arguments, run, argv, prog)

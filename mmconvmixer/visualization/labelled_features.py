"""The features that a classifier has of the images of its test set."""
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

from mmconvmixer._support.progress import Progress
from mmconvmixer.config.image_folders import use_for_testing
from mmconvmixer.datasets import SkipUnreadable
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.parts_of_config import innermost
from mmconvmixer.datasets.wrappers.in_memory import is_in_memory
from mmconvmixer.engine.metrics import true_label
from mmconvmixer.errors import BadConfig, UnknownOption
from mmconvmixer.visualization.cam import class_names_of
from mmconvmixer.zoo import require

BATCH = 32


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of images.

    Attributes:
        features: (N, channels), pooled.
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        classes: their names.
    """

    features: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    classes: list[str]


@torch.no_grad()
def labelled_features(model: BaseModel, count: int, data: str | None = None) -> LabelledFeatures:
    """Return the features of some images of a model's test set, drawn at random with seed 0.

    Args:
        model: a classifier that `get_model` returned.
        count: of how many images; fewer if the test set is smaller.
        data: folder of images that replaces the test set, one folder per class.

    Raises:
        UnknownOption: `count` is less than 2.
        BadConfig: the model's config has no test set, or the model is not a classifier.
        BadImage: an image can't be read.
        MMConvMixerError: the test set can't be had.
    """
    if count < 2:
        raise UnknownOption(f'the number of images (--images) is {count}, expected 2 or more')
    if getattr(model, 'head', None) is None or getattr(model, 'neck', None) is None:
        raise BadConfig('features are drawn for a classifier with pooling and a head; give its '
                        'name without -features')
    dataset = _test_set(model, data)
    numbers = np.random.default_rng(0).permutation(len(dataset))[:count]
    features, labels, predicted = [], [], []
    progress = Progress('features', len(numbers), 'images')
    for start in range(0, len(numbers), BATCH):
        samples = [dataset[int(number)] for number in numbers[start:start + BATCH]]
        inputs = model.data_preprocessor(default_collate(samples))['inputs']
        pooled = model.extract_feat(inputs)
        features.append(pooled[-1].float().cpu().numpy())
        predicted.append(model.head(pooled).argmax(1).cpu().numpy())
        labels += [true_label(sample['data_samples'].to_dict(), 'a figure of features')
                   for sample in samples]
        progress.update(start + len(samples))
    return LabelledFeatures(np.concatenate(features), np.array(labels), np.concatenate(predicted),
                            class_names_of(model))


def _test_set(model: BaseModel, data: str | None) -> Any:
    config = getattr(model, '_config', None)
    if not isinstance(config, Config):
        raise BadConfig('the model has no config, which says what its test set is; build it with '
                        'get_model(name or config)')
    require(config, 'test_dataloader')
    if data is not None:
        config = config.copy()
        names = (getattr(model, '_dataset_meta', None) or {}).get('classes')
        use_for_testing(config, data, names, getattr(model.head, 'num_classes', None))
    wanted = config.test_dataloader.dataset
    if is_in_memory(wanted):  # which keeps samples in another form
        wanted = next(innermost(wanted))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return SkipUnreadable(build_dataset(wanted), 'raise')

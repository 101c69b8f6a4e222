"""A torch classifier -> the Keras network that computes the same.

Its layers have the names of the torch modules: a layer `backbone.stem.0` owns the
variables `backbone.stem.0/kernel` and `backbone.stem.0/bias`, by which
`checkpoints.layouts.keras` recognizes them.
"""
from types import ModuleType
from typing import TYPE_CHECKING

from mmengine.model import BaseModel
from mmpretrain.models import GlobalAveragePooling, LinearClsHead

from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.deploy.keras_twin.convmixer import convmixer
from mmconvmixer.deploy.keras_twin.mlp_mixer import mlp_mixer
from mmconvmixer.errors import BadConfig, MissingPackage
from mmconvmixer.models import ConvMixer, FeatureExtractor, MlpMixer

if TYPE_CHECKING:
    import keras

# The class of a backbone -> its family, and the function that builds its twin.
_FAMILIES = {ConvMixer: ('ConvMixer', convmixer), MlpMixer: ('MLP-Mixer', mlp_mixer)}


def family_of(model: BaseModel) -> str:
    """Return 'ConvMixer' or 'MLP-Mixer'; raise BadConfig if a classifier has no twin."""
    backbone, neck, head = (getattr(model, part, None) for part in ('backbone', 'neck', 'head'))
    if (type(backbone) not in _FAMILIES or type(neck) is not GlobalAveragePooling
            or not (type(head) is LinearClsHead or isinstance(model, FeatureExtractor))):
        raise BadConfig(
            f'TensorFlow gets {", ".join(type(part).__name__ for part in (backbone, neck, head))}; '
            'expected a ConvMixer or MlpMixer with GlobalAveragePooling and a LinearClsHead, or a '
            'FeatureExtractor. ONNX takes any classifier')
    return _FAMILIES[type(backbone)][0]


def width_of(model: BaseModel, features: bool) -> int:
    """Return how many numbers the twin computes for an image."""
    return model.backbone.embed_dims if features else model.head.fc.out_features


def keras_twin(model: BaseModel, features: bool = False) -> 'keras.Model':
    """Return the Keras network of a classifier, with its weights.

    In training mode, dropout and stochastic depth are active, as in torch. BatchNorm's
    `moving_variance` then follows the biased variance of the batch; torch's follows the
    unbiased one, larger by n / (n - 1), which Keras does not have.

    Args:
        model: a `ConvMixer` or `MlpMixer` with GlobalAveragePooling and a
            LinearClsHead; it is not changed.
        features: leave out the head.

    Returns:
        A network from normalized images (N, H, W, C) float32 to logits (N, classes) or
        features (N, embed_dims). ConvMixer takes any H and W of at least patch_size,
        MLP-Mixer only its own.

    Raises:
        BadConfig: the classifier, or a layer in it, has no twin.
        MissingPackage: TensorFlow is not installed, or Keras runs on another backend.
    """
    family = family_of(model)
    keras = _keras()
    images, maps = _FAMILIES[type(model.backbone)][1](model.backbone)
    outputs = keras.ops.mean(maps, axis=tuple(range(1, maps.ndim - 1)))
    if not features:
        outputs = keras.layers.Dense(model.head.fc.out_features, name='head.fc',
                                     use_bias=model.head.fc.bias is not None)(outputs)
    twin = keras.Model(images, outputs, name=family)
    values = layout_named('keras', family).from_mmpretrain(model.state_dict())
    for variable in twin.weights:
        variable.assign(values[variable.path].detach().float().cpu().numpy())
    return twin


def _keras() -> ModuleType:
    try:
        import keras
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise MissingPackage('a Keras network needs TensorFlow, which is not installed: '
                             "pip install 'mmconvmixer[tf]'") from error
    if keras.backend.backend() != 'tensorflow':
        raise MissingPackage(f'Keras runs on {keras.backend.backend()} here; give '
                             'KERAS_BACKEND=tensorflow in the environment')
    return keras

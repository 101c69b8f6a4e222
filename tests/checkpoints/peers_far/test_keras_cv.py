"""ConvMixers of keras-cv 0.9.0, which need Keras 2.

    pip install '.[test,peers,peers-far]'
    TF_USE_LEGACY_KERAS=1 pytest -m slow -rP tests/checkpoints/peers_far/test_keras_cv.py
"""
import pytest

from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.checkpoints.normalization import normalization_of

pytestmark = pytest.mark.slow


@pytest.fixture
def convmixer(tf_keras):
    pytest.importorskip('keras_cv', reason='keras-cv is not installed')
    from keras_cv.src.models.legacy.convmixer import ConvMixer

    def build(**options):
        # The kernel of the published 512/16: 'same' pads 3 before and 4 after it.
        return ConvMixer(dim=24, depth=11, patch_size=4, kernel_size=8, input_shape=(64, 64, 3),
                         **options)
    return build


@pytest.mark.parametrize('file', ['net.h5', 'weights.h5', 'net.weights.h5', 'saved'])
@pytest.mark.parametrize('options', [
    dict(include_rescaling=True, include_top=True, num_classes=7, classifier_activation=None),
    dict(include_rescaling=False, include_top=True, num_classes=7, classifier_activation=None),
    dict(include_rescaling=True, include_top=False, pooling='avg')],
    ids=['classifier', 'normalized before', 'notop'])
def test_a_convmixer_of_keras_cv(convmixer, options, file, crops, tmp_path, random_weights,
                                 save, answers, same_outputs):
    network = convmixer(**options)
    random_weights(network)
    path = save(network, tmp_path / file)
    pixels = (crops + 1) * 127.5
    divided = pixels / 255
    rescales = options['include_rescaling']
    expected = answers(lambda: convmixer(**options), network.get_weights(),
                       pixels if rescales else divided)
    same_outputs(path, divided, expected)
    if rescales and file != 'saved':
        assert normalization_of(read_checkpoint(path)['meta']) == dict(
            mean=[0., 0., 0.], std=pytest.approx([255.] * 3), to_rgb=True)

"""MLP-Mixers of keras-cv-attention-models 1.4.3.

    pip install '.[test,peers,peers-far]'
    TF_USE_LEGACY_KERAS=1 pytest -m slow -rP \
        tests/checkpoints/peers_far/test_keras_cv_attention_models.py
"""
import pytest
from torch import nn

from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import read_architecture
from mmconvmixer.errors import BadCheckpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def mixer(tf_keras):
    family = pytest.importorskip('keras_cv_attention_models.mlp_family',
                                 reason='keras-cv-attention-models is not installed')

    def build(activation='gelu', num_classes=7):
        return family.MLPMixer(
            num_blocks=11, patch_size=8, stem_width=24, tokens_mlp_dim=12, channels_mlp_dim=40,
            input_shape=(64, 64, 3), num_classes=num_classes, activation=activation,
            classifier_activation=None, pretrained=None)
    return build


@pytest.fixture
def with_googles_eps(mixer, monkeypatch):
    """The LayerNorm eps of the code that the published weights were trained with."""
    from keras_cv_attention_models.mlp_family import mlp_mixer
    monkeypatch.setattr(mlp_mixer, 'BATCH_NORM_EPSILON', 1e-6)


FILES = ['net.h5', 'weights.h5', 'saved']


@pytest.mark.parametrize('file', FILES)
def test_its_mixers_compute_what_google_trained(mixer, file, crops, tmp_path, random_weights,
                                                save, answers, same_outputs, with_googles_eps):
    """With the GELU and eps of flax, which its own network has by two changes."""
    network = mixer()
    random_weights(network)
    path = save(network, tmp_path / file)
    same_outputs(path, crops, answers(
        lambda: mixer(activation='gelu/app'), network.get_weights(), crops))


@pytest.mark.parametrize('file', FILES)
def test_with_its_own_numerics_they_compute_what_it_computes(
        mixer, file, crops, tmp_path, random_weights, save, answers, same_outputs):
    def use_its_numerics(model):
        for module in model.modules():
            if isinstance(module, nn.GELU):
                module.approximate = 'none'
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-5
    network = mixer()
    random_weights(network)
    path = save(network, tmp_path / file)
    expected = answers(mixer, network.get_weights(), crops)
    same_outputs(path, crops, expected, use_its_numerics)


def test_without_names_they_are_refused_in_words(mixer, tmp_path, save):
    path = save(mixer(), tmp_path / 'net.weights.h5')
    with pytest.raises(BadCheckpoint, match='a network of Keras whose layers have automatic names'):
        read_architecture(state_dict_of(read_checkpoint(path)))

"""ConvMixers and MLP-Mixers of tfimm 0.2.14.

    pip install '.[test,peers]' && pip install --no-deps --ignore-requires-python tfimm==0.2.14
    TF_USE_LEGACY_KERAS=1 pytest -m slow -rP tests/checkpoints/peers_far/test_tfimm.py

It claims to need Python 3.10 at most, and runs with 3.11.
"""
import pytest

from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.architecture import read_architecture
from mmconvmixer.errors import BadCheckpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def build(tf_keras):
    """Return a function: family -> a function that builds a network of it."""
    pytest.importorskip('tfimm', reason='tfimm is not installed')
    from tfimm.architectures.convmixer import ConvMixer, ConvMixerConfig
    from tfimm.architectures.mlp_mixer import MLPMixer, MLPMixerConfig

    def convmixer():
        return built(ConvMixer(ConvMixerConfig(
            name='convmixer', url='', nb_classes=7, input_size=(64, 64), patch_size=(4, 4),
            embed_dim=24, depth=11, kernel_size=5)))

    def mixer():
        return built(MLPMixer(MLPMixerConfig(
            name='mixer', url='', nb_classes=7, input_size=(64, 64), patch_size=8,
            embed_dim=24, nb_blocks=11, mlp_ratio=(0.5, 4.0))))

    def built(network):
        network(network.dummy_inputs)
        return network
    return {'ConvMixer': convmixer, 'MLP-Mixer': mixer}


@pytest.mark.parametrize('file', ['weights.h5', 'saved'])
@pytest.mark.parametrize('family', ['ConvMixer', 'MLP-Mixer'])
def test_a_network_of_tfimm(build, family, file, crops, tmp_path, random_weights, save,
                            answers, same_outputs):
    network = build[family]()
    random_weights(network)
    path = save(network, tmp_path / file)
    same_outputs(path, crops, answers(build[family], network.get_weights(), crops))


@pytest.mark.parametrize('family', ['ConvMixer', 'MLP-Mixer'])
def test_without_names_they_are_refused_in_words(build, family, tmp_path, save):
    path = save(build[family](), tmp_path / 'net.weights.h5')
    with pytest.raises(BadCheckpoint, match='a network of Keras whose layers have automatic names'):
        read_architecture(state_dict_of(read_checkpoint(path)))

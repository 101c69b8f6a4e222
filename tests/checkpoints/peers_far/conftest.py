"""Networks of far libraries: random weights, and answers in float64."""
import os

import numpy as np
import pytest
import torch


@pytest.fixture
def tf_keras():
    """Keras 2, as `tf.keras` where TensorFlow was started with it."""
    if os.environ.get('TF_USE_LEGACY_KERAS') != '1':
        pytest.skip('needs TF_USE_LEGACY_KERAS=1')
    tf_keras = pytest.importorskip('tf_keras', reason='Keras 2 is not installed')
    yield tf_keras
    tf_keras.backend.set_floatx('float32')


@pytest.fixture
def random_weights():
    """Give each weight, bias and statistic of a Keras network a value unlike its default."""
    def fill(network):
        generator = np.random.default_rng(0)
        network.set_weights([_random(generator, each.name, each.shape)
                             for each in network.weights])
    return fill


def _random(generator, name, shape):
    if 'variance' in name or name.endswith('/var'):
        return generator.uniform(0.2, 0.5, shape)
    if len(shape) > 1:
        # Of a depthwise kernel (height, width, channels, 1), each output has height x width inputs.
        inputs = np.prod(shape[:2] if shape[-1] == 1 else shape[:-1])
        return generator.normal(0, inputs**-0.5, shape)
    return generator.normal(0.3, 0.3, shape)


@pytest.fixture
def save():
    """Save the weights of a network, or all of it, and return the path."""
    def save(network, path):
        # As .weights.h5, Keras 2 writes them in the form of Keras 3, without names of layers.
        if path.name in ('weights.h5', 'net.weights.h5'):
            network.save_weights(path)
        else:
            network.save(path)
        return path
    return save


@pytest.fixture
def answers(tf_keras):
    """Return the outputs in float64 for images (N, 3, H, W) of a network with these weights.

    It is built anew, as its layers have the float type that was set when they were built.
    """
    def answers(build, weights, images):
        tf_keras.backend.set_floatx('float64')
        network = build()
        network.set_weights(weights)
        outputs = network(images.permute(0, 2, 3, 1).numpy())
        tf_keras.backend.set_floatx('float32')
        return torch.from_numpy(outputs.numpy()).double()
    return answers

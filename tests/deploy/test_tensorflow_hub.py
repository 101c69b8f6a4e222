"""tensorflow_hub and Keras 3 train SavedModels."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.deploy.formats import savedmodel
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of

pytest.importorskip('tensorflow', reason='TensorFlow is not installed')


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """The folder of a feature extractor with 30 variables, 20 of them trainable."""
    torch.manual_seed(0)
    model = get_model('convmixer-128-4_cifar10', backbone=dict(arch='8/2-p4-k5'),
                      head=dict(in_channels=8))
    path = tmp_path_factory.mktemp('saved') / 'net'
    savedmodel.write(Job(model, preprocessing_of(model), features=True), path)
    return path


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).standard_normal((8, 32, 32, 3)).astype(np.float32)


def test_keras_3_trains_it_through_tfsmlayer(saved, images):
    """Its two endpoints are `serve` and `train`."""
    import keras
    layer = keras.layers.TFSMLayer(str(saved), call_endpoint='serve',
                                   call_training_endpoint='train')
    model = keras.Sequential([keras.Input((32, 32, 3)), layer, keras.layers.Dense(2)])
    model.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [variable.numpy() for variable in layer.weights]
    assert (len(layer.trainable_weights), len(layer.weights)) == (20, 30)
    model.fit(images, np.arange(8) % 2, verbose=0)
    assert all((old != new.numpy()).any()
               for old, new in zip(before, layer.weights, strict=True))


HUB = """
import sys
import numpy as np, tensorflow as tf, tensorflow_hub as hub, tf_keras
path, images, expected = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3])
np.testing.assert_allclose(hub.load(path)(images), expected, rtol=1e-3, atol=1e-4)
layer = hub.KerasLayer(path, trainable=True)
keras = tf.keras if sys.argv[4] == 'tf.keras' else tf_keras
model = keras.Sequential([layer, keras.layers.Dense(2)])
model.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model(images)
before = [variable.numpy() for variable in layer.weights]
assert (len(layer.trainable_weights), len(layer.weights)) == (20, 30)
model.fit(images, np.arange(8) % 2, verbose=0)
assert all((old != new.numpy()).any() for old, new in zip(before, layer.weights))
print('trained')
"""


@pytest.mark.parametrize('keras, environment', [
    ('tf_keras', {}), ('tf.keras', dict(TF_USE_LEGACY_KERAS='1'))])
def test_tensorflow_hub_trains_it(keras, environment, saved, images, tmp_path):
    """In a process of its own, where tf.keras is the old Keras."""
    for module in ('tensorflow_hub', 'tf_keras'):
        pytest.importorskip(module, reason=f'{module} is not installed')
    np.save(tmp_path / 'images.npy', images)
    np.save(tmp_path / 'expected.npy',
            savedmodel.reader(saved)(images.transpose(0, 3, 1, 2)))
    done = subprocess.run(
        [sys.executable, '-c', HUB, saved, tmp_path / 'images.npy', tmp_path / 'expected.npy',
         keras], capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0 and 'trained' in done.stdout, done.stderr


def test_importing_the_package_loads_no_tensorflow():
    code = ('import sys, mmconvmixer.deploy.formats.savedmodel, mmconvmixer.deploy.formats.litert;'
            'assert not {"tensorflow", "keras"} & sys.modules.keys()')
    assert subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parents[2]
                          ).returncode == 0

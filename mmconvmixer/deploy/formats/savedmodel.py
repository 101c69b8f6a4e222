"""TensorFlow's SavedModel: a folder, for tensorflow_hub and TensorFlow Serving.

It has signatures for inference, and it is a function that can be trained further; see
docs/export_tensorflow.md.
"""
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.keras_twin import family_of, keras_twin, width_of
from mmconvmixer.deploy.keras_twin.images import check_resizable, decoded, prepared
from mmconvmixer.errors import BadConfig

if TYPE_CHECKING:
    import tensorflow as tf

SUFFIX = ''
MARKER = 'saved_model.pb'
DTYPES = ('float32',)

# The output's name in TF-Hub's collections of these networks.
OUTPUTS = {'ConvMixer': 'output', 'MLP-Mixer': 'output_0'}


def write(job: Job, path: Path) -> None:
    """Write the folder, which does not exist yet.

    Raises:
        BadConfig: the classifier has no Keras twin, or TensorFlow has no such
            resizing.
        MissingPackage: TensorFlow is not installed, or Keras runs on another backend.
    """
    check_resizable(job.preprocessing)
    twin = keras_twin(job.model, job.features)
    _check_input(job, twin.input_shape)
    import tensorflow as tf
    saved = tf.train.Checkpoint()  # tf.Module would not allow setting `variables`
    saved.variables = [variable.value for variable in twin.variables]
    saved.trainable_variables = [variable.value for variable in twin.trainable_variables]
    saved.regularization_losses = []  # tensorflow_hub reads them

    images = tf.TensorSpec(
        (None if job.dynamic_batch else 1, *twin.input_shape[1:]), tf.float32, 'images')
    saved.__call__ = tf.function(
        lambda images, training=False: twin(images, training=training), autograph=False)
    for training in (False, True):
        saved.__call__.get_concrete_function(images, training=training)
    # Two functions of one argument each, because keras.layers.TFSMLayer needs them.
    saved.serve = tf.function(lambda images: twin(images, training=False), [images],
                              autograph=False)
    saved.train = tf.function(lambda images: twin(images, training=True), [images],
                              autograph=False)
    tf.saved_model.save(saved, str(path), _signatures(job, saved.serve, images))


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W), normalized -> outputs (N, classes or features)."""
    import tensorflow as tf
    saved = tf.saved_model.load(str(path))

    def run(images: np.ndarray) -> np.ndarray:
        # There is one output, whose name depends on the family.
        output, = saved.signatures['serving_default'](
            images=tf.constant(images.transpose(0, 2, 3, 1))).values()
        return output.numpy()
    run.saved = saved  # keeps the object alive, and with it its functions
    return run


def interface(job: Job) -> dict:
    """Return names, shapes and dtypes of inputs and outputs, by signature."""
    channels, height, width = job.input_shape
    batch = 'batch' if job.dynamic_batch else 1
    outputs = {OUTPUTS[family_of(job.model)]: dict(
        shape=[batch, width_of(job.model, job.features)], dtype='float32')}
    inputs = dict(
        serving_default=dict(images=dict(shape=[batch, height, width, channels],
                                         dtype='float32')),
        serving_images=dict(images=dict(shape=[batch, 'height', 'width', 3], dtype='float32')),
        serving_bytes=dict(image_bytes=dict(shape=[batch], dtype='string')))
    return dict(signatures={name: dict(inputs=specs, outputs=outputs)
                            for name, specs in inputs.items()})


def _check_input(job: Job, shape: tuple[int | None, ...]) -> None:
    for expected, given in zip(shape[1:], (*job.input_shape[1:], job.input_shape[0]), strict=True):
        if expected not in (None, given):
            raise BadConfig(
                f'the network takes {shape[3]} channels of {shape[1]} x {shape[2]} pixels, but the '
                f'preprocessing gives {job.input_shape} (C, H, W)')


def _signatures(job: Job, serve: 'tf.types.experimental.PolymorphicFunction',
                images: 'tf.TensorSpec') -> 'dict[str, tf.types.experimental.ConcreteFunction]':
    import tensorflow as tf
    batch, name = images.shape[0], OUTPUTS[family_of(job.model)]
    prepared_spec = tf.TensorSpec((*job.preprocessing.image_size, job.preprocessing.in_channels))

    def serving_default(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: serve(images)}

    def serving_images(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: serve(prepared(images * 255, job.preprocessing))}

    def serving_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(content: tf.Tensor) -> tf.Tensor:
            return prepared(decoded(content)[None], job.preprocessing)[0]
        return {name: serve(tf.map_fn(one, image_bytes, fn_output_signature=prepared_spec))}

    return {function.__name__: tf.function(function, autograph=False).get_concrete_function(spec)
            for function, spec in (
                (serving_default, images),
                (serving_images, tf.TensorSpec((batch, None, None, 3), tf.float32, 'images')),
                (serving_bytes, tf.TensorSpec((batch,), tf.string, 'image_bytes')))}

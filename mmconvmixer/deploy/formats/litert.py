"""LiteRT (TensorFlow Lite): one `.tflite` file, for phones and small boards.

Images go in as (N, H, W, C) float32, normalized; int8 files take and give float32, too.
"""
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.keras_twin import keras_twin, width_of
from mmconvmixer.deploy.keras_twin.affine import norms_as_convolutions
from mmconvmixer.errors import BadConfig

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

SUFFIX = '.tflite'
DTYPES = ('float32', 'int8')


def write(job: Job, path: Path) -> None:
    """Write the network in float32.

    Raises:
        BadConfig: a classifier that has no twin in Keras; a job in int8, which
            needs images: `write_int8`.
        MissingPackage: TensorFlow is not installed, or Keras runs on another backend.
    """
    if job.dtype != 'float32':
        raise BadConfig(f'write makes a float32 file, not {job.dtype}; for int8, call write_int8 '
                        'with images to read the ranges off')
    path.write_bytes(_converter(job, keras_twin(job.model, job.features)).convert())


def write_int8(job: Job, path: Path, batches: Iterable[np.ndarray]) -> None:
    """Write the network with weights and activations in int8.

    Args:
        batches: of images like those that will come, (N, C, H, W) float32,
            normalized; the range of every activation is read off them. A hundred
            images are plenty.

    Raises: what `write` does.
    """
    network = norms_as_convolutions(keras_twin(job.model, job.features))
    import tensorflow as tf

    def images():
        for batch in batches:
            for image in batch.transpose(0, 2, 3, 1):
                yield [image[None]]
    converter = _converter(job, network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    path.write_bytes(converter.convert())


def reader(path: Path, threads: int = 1, xnnpack: bool = True
           ) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W), normalized -> outputs (N, classes or features).

    Args:
        xnnpack: the kernels that are LiteRT's default; else its older ones. In int8
            on x86, XNNPACK takes four to six times as long for depthwise kernels of
            7 x 7, and a quarter of the time for those of 5 x 5 and for MLP-Mixer.
    """
    interpreters = _interpreters()
    resolver = interpreters.OpResolverType
    interpreter = interpreters.Interpreter(
        model_path=str(path), num_threads=threads, experimental_op_resolver_type=(
            resolver.AUTO if xnnpack else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: np.ndarray) -> np.ndarray:
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        if interpreter.get_tensor_details()[taken['index']]['shape'].tolist() != [*images.shape]:
            interpreter.resize_tensor_input(taken['index'], images.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken['index'], images)
        interpreter.invoke()
        return interpreter.get_tensor(given['index'])
    return run


def interface(job: Job) -> dict:
    """Return names, shapes and dtypes of what goes in and what comes out."""
    channels, height, width = job.input_shape
    batch = 'batch' if job.dynamic_batch else 1
    return dict(inputs=dict(images=dict(shape=[batch, height, width, channels], dtype='float32')),
                outputs={job.output_name: dict(shape=[batch, width_of(job.model, job.features)],
                                               dtype='float32')})


def _converter(job: Job, twin: 'keras.Model') -> 'tf.lite.TFLiteConverter':
    import tensorflow as tf
    channels, *edges = job.input_shape
    images = tf.TensorSpec(
        (None if job.dynamic_batch else 1, *edges, channels), tf.float32, 'images')
    network = tf.function(lambda images: {job.output_name: twin(images, training=False)}, [images],
                          autograph=False)
    saved = tf.train.Checkpoint()  # of an object with variables the file gets a signature
    saved.network, saved.variables = network, [variable.value for variable in twin.variables]
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], saved)


def _interpreters() -> ModuleType:
    try:
        from ai_edge_litert import interpreter
    except ImportError:  # TensorFlow has its own still
        from tensorflow.lite.python import interpreter
    return interpreter

"""LiteRT (TensorFlow Lite): one `.tflite` file, for phones and small boards.

Inputs are images (N, H, W, C) float32, normalized. Inputs and outputs of int8 files are
also float32.
"""
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.keras_twin import keras_twin, width_of
from mmconvmixer.deploy.keras_twin.affine import norms_as_convolutions

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

SUFFIX = '.tflite'
DTYPES = ('float32', 'int8')


def write(job: Job, path: Path) -> None:
    """Write the network in float32.

    Raises:
        BadConfig: the classifier has no Keras twin; or the job is in int8, which
            needs images: call `write_int8`.
        MissingPackage: TensorFlow is not installed, or Keras runs on another backend.
    """
    job.check_dtype('float32')
    path.write_bytes(_converter(job, keras_twin(job.model, job.features)).convert())


def write_int8(job: Job, path: Path, batches: Iterable[np.ndarray]) -> None:
    """Write the network with weights and activations in int8.

    Args:
        job: what is exported; its dtype is ignored.
        path: the file.
        batches: images like those in use, (N, C, H, W) float32, normalized, from which
            the range of every activation is measured. A hundred images are enough.

    Raises:
        BadConfig, MissingPackage: see `write`.
    """
    network = norms_as_convolutions(keras_twin(job.model, job.features))
    import tensorflow as tf

    def images() -> Iterator[list[np.ndarray]]:
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
        path: the file.
        threads: how many LiteRT uses.
        xnnpack: use XNNPACK, LiteRT's default kernels, instead of its older ones. In
            int8 on x86, XNNPACK takes four to six times as long for depthwise kernels of
            7 x 7, but a quarter of the time for those of 5 x 5 and for MLP-Mixer.
    """
    interpreters = _interpreters()
    resolver = interpreters.OpResolverType
    # Its content, not its path: LiteRT would keep the file open.
    interpreter = interpreters.Interpreter(
        model_content=path.read_bytes(), num_threads=threads, experimental_op_resolver_type=(
            resolver.AUTO if xnnpack else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES))
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = None

    def run(images: np.ndarray) -> np.ndarray:
        nonlocal shape
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        if images.shape != shape:
            shape = None  # should the new one fail
            interpreter.resize_tensor_input(source['index'], images.shape, strict=True)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(source['index'], images)
        interpreter.invoke()
        return interpreter.get_tensor(result['index'])
    return run


def interface(job: Job) -> dict:
    """Return names, shapes and dtypes of inputs and outputs."""
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
    saved = tf.train.Checkpoint()  # only an object with variables gives the file a signature
    saved.network, saved.variables = network, [variable.value for variable in twin.variables]
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], saved)


def _interpreters() -> ModuleType:
    try:
        from ai_edge_litert import interpreter
    except ImportError:  # TensorFlow still has its own
        from tensorflow.lite.python import interpreter
    return interpreter

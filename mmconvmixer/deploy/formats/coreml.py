"""Core ML: an `.mlpackage` folder for iOS 15 and macOS 12 or later, or for Xcode.

The input is one image, which an app hands over as it comes from the camera or a file; mean and
standard deviation are part of the network. In int8, weights have eight bits (iOS 16 and later), and
everything but LayerNorm is computed in float16. Core ML runs on macOS only. Elsewhere the
operations in the finished file are computed with PyTorch, and the export's record says so.
"""
import contextlib
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmpretrain.models.heads import MultiLabelClsHead
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from mmconvmixer.deploy.formats import mil
from mmconvmixer.deploy.formats.plain_program import plain_program
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import Preprocessing
from mmconvmixer.errors import BadConfig, UnknownOption

if TYPE_CHECKING:
    import coremltools

SUFFIX = '.mlpackage'
MARKER = 'Manifest.json'
DTYPES = ('float32', 'float16', 'int8')

# Core ML's names for what a classifier returns beside the logits.
LABEL, PROBABILITIES = 'classLabel', 'classLabel_probs'
_LAYOUTS = dict(RGB='RGB', BGR='BGR', GRAY='GRAYSCALE')
_METADATA = 'mmconvmixer.preprocessing'


def write(job: Job, path: Path) -> None:
    """Write the folder, which does not exist yet.

    Raises:
        UnknownOption: the job is for any number of images.
        BadConfig: the job has no preprocessing.
    """
    if job.dynamic_batch:
        raise UnknownOption('a Core ML file takes one image, and Core ML makes batches of several '
                            'calls by itself; leave out --dynamic-batch (dynamic_batch=True)')
    names = _class_names(job)
    preprocessing = _preprocessing(job)
    int8 = job.dtype == 'int8'
    # coremltools casts to float16 by itself, but for iOS 16, which weights in int8 need, it then
    # fails on a classifier with two outputs.
    network = _FromPixels(replace(job, dtype='float16' if int8 else 'float32').network,
                          preprocessing, names is not None)
    program = plain_program(network, torch.zeros(1, *job.input_shape),
                            {torch.ops.aten.layer_norm.default: _layer_norm})
    # After the export, which imports Triton: coremltools imports TensorFlow, and Triton does not
    # start after TensorFlow.
    ct = _coremltools()
    outputs = [spec.arg.name for spec in program.graph_signature.output_specs]
    with _quiet():
        model = ct.convert(
            program, inputs=[ct.ImageType(
                'image', (1, *job.input_shape),
                color_layout=getattr(ct.colorlayout, _LAYOUTS[preprocessing.channels]))],
            # Unless the probabilities are named, coremltools takes the logits for them in float16.
            classifier_config=names and ct.ClassifierConfig(
                names, LABEL, predicted_probabilities_output=outputs[1]),
            compute_precision=getattr(ct.precision,
                                      'FLOAT16' if job.dtype == 'float16' else 'FLOAT32'),
            minimum_deployment_target=ct.target.iOS16 if int8 else ct.target.iOS15,
            pass_pipeline=_passes(ct, int8), skip_model_load=True)
        spec = model.get_spec()
        # coremltools takes no names for the outputs of a classifier.
        ct.utils.rename_feature(spec, outputs[0], job.output_name, rename_inputs=False)
        model = ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)
        model.user_defined_metadata[_METADATA] = json.dumps(preprocessing.as_dict())
        model.save(str(path))


def reader(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return images (N, C, H, W), normalized -> outputs (N, classes or features).

    The network gets what an app would give it: pixels, rounded to whole numbers.
    """
    model = load(path)
    preprocessing = Preprocessing(**json.loads(model.user_defined_metadata[_METADATA]))
    predict = _by_core_ml(model, preprocessing.channels) if _has_core_ml() else _by_mil(model)

    def run(images: np.ndarray) -> np.ndarray:
        return np.concatenate([_logits_of(predict(image))
                               for image in preprocessing.pixels_of(images)])
    return run


def load(path: Path) -> 'coremltools.models.MLModel':
    """Return what coremltools reads from the folder."""
    return _coremltools().models.MLModel(str(path), skip_model_load=not _has_core_ml())


def computed_by() -> str:
    """Say what computes the outputs that are compared with PyTorch's."""
    if _has_core_ml():
        return 'Core ML'
    return ("PyTorch, from the operations and weights in the file; Core ML's own kernels, which "
            'only macOS has, were not run')


def interface(job: Job) -> dict[str, Any]:
    """Return names, shapes and dtypes of inputs and outputs."""
    channels, height, width = job.input_shape
    outputs = {job.output_name: dict(shape=[1, job.width], dtype='float32')}
    if _class_names(job) is not None:
        outputs |= {LABEL: dict(dtype='string'),
                    PROBABILITIES: dict(dtype='dictionary of float32, by class name')}
    return dict(inputs=dict(image=dict(shape=[height, width, channels], dtype='uint8',
                                       color=_LAYOUTS[_preprocessing(job).channels])),
                outputs=outputs)


class _FromPixels(nn.Module):
    """Pixels (1, C, H, W) in 0 .. 255 -> logits or features, and the probabilities if wanted.

    Core ML's own normalization has one scale for all channels.
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, classify: bool) -> None:
        super().__init__()
        self.network, self.classify = network, classify
        mean, std = (torch.tensor(values)[:, None, None]
                     for values in (preprocessing.mean, preprocessing.std))
        self.register_buffer('mean', mean)
        self.register_buffer('factor', 1 / std)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return (1, classes) or (1, features), and the probabilities (1, classes)."""
        outputs = self.network((pixels - self.mean) * self.factor)
        return (outputs, outputs.softmax(1)) if self.classify else (outputs,)


def _preprocessing(job: Job) -> Preprocessing:
    if job.preprocessing is None:
        raise BadConfig('a Core ML file holds the preprocessing of its images, and this job has '
                        'none; give it one (preprocessing_of)')
    return job.preprocessing


def _layer_norm(x: Tensor, shape: list[int], weight: Tensor, bias: Tensor, eps: float = 1e-5,
                *_: bool) -> Tensor:
    """Compute a norm in float32; coremltools does not convert it in float16."""
    if x.dtype == torch.float32:
        return NotImplemented
    return F.layer_norm(x.float(), shape, weight.float(), bias.float(), eps).to(x.dtype)


def _passes(ct: Any, int8: bool) -> Any:
    """Return what coremltools does with the network's operations."""
    passes = ct.PassPipeline()
    # It makes BatchNorm of a multiply-add, and adds 1e-5 to a variance that was 1.
    passes.remove_passes(['common::fuse_elementwise_to_batchnorm'])
    if int8:
        # coremltools' function for finished files, linear_quantize_weights, runs the pass above.
        from coremltools.optimize.coreml import OpLinearQuantizerConfig, OptimizationConfig
        quantize = 'compression::linear_quantize_weights'
        passes.append_pass(quantize)
        passes.set_options(quantize, dict(config=OptimizationConfig(
            OpLinearQuantizerConfig('linear_symmetric', 'int8', 'per_channel'))))
    return passes


def _class_names(job: Job) -> list[str] | None:
    """Return the names for Core ML's classifier; None if the network does not choose a class."""
    if job.classes is None or job.features or isinstance(job.model.head, MultiLabelClsHead):
        return None
    return job.class_names


def _by_core_ml(model: 'coremltools.models.MLModel', channels: str) -> Callable[[np.ndarray], dict]:
    def predict(pixels: np.ndarray) -> dict:
        pixels = pixels[::-1] if channels == 'BGR' else pixels  # Pillow's images are RGB
        pixels = pixels.transpose(1, 2, 0)
        return model.predict(dict(image=Image.fromarray(
            np.ascontiguousarray(pixels[..., 0] if channels == 'GRAY' else pixels))))
    return predict


def _by_mil(model: 'coremltools.models.MLModel') -> Callable[[np.ndarray], dict]:
    function = mil.main_of(model)

    def predict(pixels: np.ndarray) -> dict:
        return mil.run(function, dict(image=torch.from_numpy(pixels[None]).float()))
    return predict


def _logits_of(outputs: dict[str, Any]) -> np.ndarray:
    name, = set(outputs) - {LABEL, PROBABILITIES}
    return np.asarray(outputs[name])


def _has_core_ml() -> bool:
    return sys.platform == 'darwin'


def _coremltools() -> Any:
    # It warns of every version of torch, TensorFlow and scikit-learn that is newer than itself.
    logging.getLogger('coremltools').setLevel(logging.ERROR)
    import coremltools
    return coremltools


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the four progress bars of a conversion."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield

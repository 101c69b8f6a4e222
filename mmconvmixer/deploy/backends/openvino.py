"""OpenVINO on a CPU."""
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mmconvmixer._support.clock import fastest
from mmconvmixer.deploy.backends import Run, RunIn
from mmconvmixer.deploy.backends.static_batches import static_batches
from mmconvmixer.deploy.formats import openvino_ir
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.openvino_precision import precision_of

if TYPE_CHECKING:
    import openvino

PACKAGES = dict(float32=('openvino',), bfloat16=('openvino',), int8=('openvino', 'nncf'))
EXTRA = 'deploy'


def build(job: Job, precision: str, calibration: list[np.ndarray] | None = None) -> Run:
    """Return a function images (N, C, H, W) -> logits (N, classes)."""
    job = replace(job, dynamic_batch=True)
    if precision == 'int8':
        from mmconvmixer.deploy.quantization import quantize_openvino
        model = quantize_openvino(job, calibration)
    else:
        model = openvino_ir.convert(job)
    # What int8 leaves in floating point runs in bfloat16 if the processor has it.
    options = dict(INFERENCE_PRECISION_HINT='f32' if precision == 'float32' else 'bf16',
                   INFERENCE_NUM_THREADS=torch.get_num_threads())

    # Compiled now, because its kernels say in which precision they compute.
    one_image = (None if precision == 'float32'
                 else _compiled(model, options, (1, *job.input_shape)))

    def for_batch(size: int) -> Run:
        if size == 1 and one_image is not None:
            return _whole_batch(one_image)
        whole_batch = _whole_batch(_compiled(model, options, (size, *job.input_shape)))
        if size == 1:
            return whole_batch
        # One image's feature maps of a large network fit into a core's cache, eight
        # images' do not; small networks are faster with all images in one call.
        runs = (whole_batch, _single_images(model, options, job.input_shape))
        images = torch.zeros(size, *job.input_shape)
        return runs[fastest({number: partial(run, images) for number, run in enumerate(runs)})]
    run = static_batches(for_batch)
    return run if one_image is None else RunIn(run, precision_of(one_image))


def _whole_batch(compiled: 'openvino.CompiledModel') -> Run:
    """Return a function that computes a batch of one shape in one call, with all threads."""
    def run(images: Tensor) -> Tensor:
        # A copy, because the program writes its next output to the same memory.
        return torch.from_numpy(compiled(images.contiguous().numpy())[0].copy())
    return run


def _single_images(model: 'openvino.Model', options: dict, shape: tuple[int, ...]) -> Run:
    """Return a function that computes each image on one thread, several images at once."""
    import openvino
    streams = options['INFERENCE_NUM_THREADS']
    compiled = _compiled(model, dict(options, NUM_STREAMS=streams), (1, *shape))
    queue = openvino.AsyncInferQueue(compiled, streams)
    outputs: dict[int, np.ndarray] = {}
    queue.set_callback(lambda request, number: outputs.update(
        {number: request.get_output_tensor().data.copy()}))

    def run(images: Tensor) -> Tensor:
        for number, image in enumerate(images.contiguous().numpy()):
            queue.start_async([image[None]], number)
        queue.wait_all()
        return torch.from_numpy(np.concatenate([outputs.pop(number)
                                                for number in range(len(images))]))
    return run


def _compiled(model: 'openvino.Model', options: dict, shape: tuple[int, ...]
              ) -> 'openvino.CompiledModel':
    import openvino
    fixed = model.clone()
    fixed.reshape(shape)
    return openvino.Core().compile_model(fixed, 'CPU', options)

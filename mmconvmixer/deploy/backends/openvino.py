"""OpenVINO on a CPU."""
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mmconvmixer._support.clock import fastest
from mmconvmixer.deploy.backends import Run
from mmconvmixer.deploy.backends.static_batches import static_batches
from mmconvmixer.deploy.formats import openvino_ir
from mmconvmixer.deploy.job import Job

if TYPE_CHECKING:
    import openvino

PACKAGES = dict(float32=('openvino',), bfloat16=('openvino',), int8=('openvino', 'nncf'))


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

    def for_batch(size: int) -> Run:
        whole_batch = _whole_batch(model, options, (size, *job.input_shape))
        if size == 1:
            return whole_batch
        # One image's feature maps of a large network fit into a core's cache, eight
        # images' do not; small networks are faster with all images in one call.
        runs = (whole_batch, _single_images(model, options, job.input_shape))
        images = torch.zeros(size, *job.input_shape)
        return runs[fastest({number: partial(run, images) for number, run in enumerate(runs)})]
    return static_batches(for_batch)


def _whole_batch(model: 'openvino.Model', options: dict, shape: tuple[int, ...]) -> Run:
    """Return a function that computes a batch of this shape in one call, with all threads."""
    compiled = _compiled(model, options, shape)

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

"""OpenVINO on a CPU."""
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.deploy.backends.static_batches import Run, static_batches
from mmconvmixer.deploy.formats import openvino_ir
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.timing import quickest

PACKAGES = dict(float32=('openvino',), bfloat16=('openvino',), int8=('openvino', 'nncf'))


def build(job: Job, precision: str, calibration: list[np.ndarray] | None = None):
    job = replace(job, dynamic_batch=True)
    if precision == 'int8':
        from mmconvmixer.deploy.quantization import quantize_openvino
        model = quantize_openvino(job, calibration)
    else:
        model = openvino_ir.convert(job)
    # What int8 leaves in floating point goes in bfloat16, where the processor has it.
    options = dict(INFERENCE_PRECISION_HINT='f32' if precision == 'float32' else 'bf16',
                   INFERENCE_NUM_THREADS=torch.get_num_threads())

    def for_batch(size: int) -> Run:
        together = _together(model, options, (size, *job.input_shape))
        if size == 1:
            return together
        # The maps of one image of a large network fit into a core's cache, those of
        # eight don't; small networks are better off with all images in one call.
        apart = _apart(model, options, job.input_shape)
        images = torch.zeros(size, *job.input_shape)
        return min((together, apart), key=lambda run: quickest(run, images))
    return static_batches(for_batch)


def _together(model, options: dict, shape: tuple[int, ...]) -> Run:
    """Return a function of so many images, in one call with all threads."""
    compiled = _compiled(model, options, shape)

    def run(images: Tensor) -> Tensor:
        # A copy: the program writes its next answer to the same place.
        return torch.from_numpy(compiled(images.contiguous().numpy())[0].copy())
    return run


def _apart(model, options: dict, shape: tuple[int, ...]) -> Run:
    """Return a function of any number of images, each by itself on one thread."""
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


def _compiled(model, options: dict, shape: tuple[int, ...]):
    import openvino
    fixed = model.clone()
    fixed.reshape(shape)
    return openvino.Core().compile_model(fixed, 'CPU', options)

"""OpenVINO on a CPU."""
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.deploy.backends.static_batches import static_batches
from mmconvmixer.deploy.formats import openvino_ir
from mmconvmixer.deploy.job import Job

PACKAGES = dict(float32=('openvino',), bfloat16=('openvino',), int8=('openvino', 'nncf'))


def build(job: Job, precision: str, calibration: list[np.ndarray] | None = None):
    import openvino
    job = replace(job, dynamic_batch=True)
    if precision == 'int8':
        from mmconvmixer.deploy.quantisation import quantise_openvino
        model = quantise_openvino(job, calibration)
    else:
        model = openvino_ir.convert(job)
    core = openvino.Core()
    # What int8 leaves in floating point goes in bfloat16, where the processor has it.
    options = dict(INFERENCE_PRECISION_HINT='f32' if precision == 'float32' else 'bf16',
                   PERFORMANCE_HINT='LATENCY', INFERENCE_NUM_THREADS=torch.get_num_threads())

    def for_batch(size: int):
        fixed = model.clone()
        fixed.reshape([size, *job.input_shape])
        compiled = core.compile_model(fixed, 'CPU', options)

        def run(images: Tensor) -> Tensor:
            # A copy: the program writes its next answer to the same place.
            return torch.from_numpy(compiled(images.contiguous().numpy())[0].copy())
        return run
    return static_batches(for_batch)

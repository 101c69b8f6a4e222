"""From a classifier to a function that computes its logits with a backend."""
import os
from collections.abc import Callable

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmconvmixer._support.processor import supported_precision
from mmconvmixer.datasets.image_input import ImageInput
from mmconvmixer.deploy.backends import build_backend
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.network import check_is_classifier
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.quantization.calibration import calibration_batches
from mmconvmixer.errors import UnknownOption


def logits_function(model: BaseModel, backend: str, precision: str,
                    calib: str | os.PathLike | list[ImageInput] | None = None, batch_size: int = 1
                    ) -> Callable[[Tensor], Tensor]:
    """Return a function images (N, C, H, W), normalized -> logits (N, classes).

    Args:
        model: the classifier, on the device where it is to run.
        backend, precision, calib, batch_size: see `mmconvmixer.Predictor`.

    Raises:
        BadConfig: see `check_is_classifier`.
        UnknownOption: the backend does not run on the model's device; or see
            `build_backend`.
        MissingPackage: see `build_backend`.
        DatasetNotFound, BadImage: see `calibration_batches`.
    """
    check_is_classifier(model)
    device = next(model.parameters()).device
    if device.type == 'cuda':
        if backend not in ('torch', 'compile', 'auto') or precision == 'int8':
            raise UnknownOption(f'backend {backend} in {precision} runs on a CPU, and the model is '
                                f"on {device}; give device='cpu', or backend 'torch' or 'compile' "
                                "in 'float32' or 'bfloat16'")
        return _on_gpu(model, backend, precision)
    precision = supported_precision(precision)
    batches = calibration_batches(model, calib) if precision == 'int8' else None
    # The other backends need the size of the images in advance.
    any_size = backend in ('torch', 'compile')
    job = Job(model, None if any_size else preprocessing_of(model))
    return build_backend(job, backend, precision, batches, batch_size)


def _on_gpu(model: BaseModel, backend: str, precision: str) -> Callable[[Tensor], Tensor]:
    # On a GPU, ConvMixer's own kernels do what `fuse` does on a CPU.
    model.eval()
    dtype = torch.bfloat16 if precision == 'bfloat16' else torch.float32
    backbone = torch.compile(model.backbone) if backend == 'compile' else model.backbone

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        with torch.autocast('cuda', dtype, enabled=dtype is not torch.float32):
            maps = backbone(images)
            return model.head(model.neck(maps) if model.with_neck else maps).float()
    return run

"""A classifier whose logits come from a backend, for `Predictor` and `tools/test.py`."""
import os
from copy import copy

from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmpretrain.structures import DataSample
from torch import Tensor

from mmconvmixer.datasets.image_input import ImageInput
from mmconvmixer.deploy.logits import logits_function


class BackendClassifier(BaseModel):
    """Answers as the classifier does; what lies between image and logits runs elsewhere.

    Args:
        model: a classifier with its weights and its config (`_config`).
        backend, precision, calib, batch_size: see `mmconvmixer.Predictor`.
    """

    def __init__(self, model: BaseModel, backend: str, precision: str,
                 calib: str | os.PathLike | list[ImageInput] | None = None, batch_size: int = 1):
        super().__init__(data_preprocessor=model.data_preprocessor)
        self._head = copy(model.head)
        # `predict` turns what `forward` says of the features into answers.
        self._head.forward = lambda logits: logits
        self._run = logits_function(model, backend, precision, calib, batch_size)

    def forward(self, inputs: Tensor, data_samples: list[DataSample] | None = None,
                mode: str = 'tensor') -> Tensor | list[DataSample]:
        """Return logits (N, classes), or with mode='predict' samples with their scores."""
        logits = self._run(inputs)
        return logits if mode == 'tensor' else self._head.predict(logits, data_samples)


class BackendHook(Hook):
    """Lets a backend answer in a test run, once weights (and averages of them) are in place.

    Args:
        backend, precision, calib: see `mmconvmixer.Predictor`.
    """
    priority = 'LOWEST'

    def __init__(self, backend: str, precision: str, calib: str | None = None):
        self.options = backend, precision, calib

    def before_test_epoch(self, runner) -> None:
        self._own = runner.model
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model._config = runner.cfg
        runner.model = BackendClassifier(model, *self.options,
                                         runner.test_dataloader.batch_size or 1)

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        runner.model = self._own

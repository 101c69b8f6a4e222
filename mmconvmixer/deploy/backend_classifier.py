"""A classifier whose logits come from a backend, for `Predictor` and `tools/test.py`."""
import os
from copy import copy

from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch import Tensor

from mmconvmixer.datasets.image_input import ImageInput
from mmconvmixer.deploy.logits import logits_function


class BackendClassifier(BaseModel):
    """Predicts as the classifier does, but a backend computes the logits.

    Args:
        model: a classifier with its weights and its config (`_config`).
        backend, precision, calib, batch_size: see `mmconvmixer.Predictor`.
    """

    def __init__(self, model: BaseModel, backend: str, precision: str,
                 calib: str | os.PathLike | list[ImageInput] | None = None,
                 batch_size: int = 1) -> None:
        super().__init__(data_preprocessor=model.data_preprocessor)
        self._head = copy(model.head)
        # The head's `predict` calls `forward` with features; here it gets the logits.
        self._head.forward = lambda logits: logits
        self._run = logits_function(model, backend, precision, calib, batch_size)

    def forward(self, inputs: Tensor, data_samples: list[DataSample] | None = None,
                mode: str = 'tensor') -> Tensor | list[DataSample]:
        """Return logits (N, classes), or with mode='predict' samples with their scores."""
        logits = self._run(inputs)
        return logits if mode == 'tensor' else self._head.predict(logits, data_samples)


class BackendHook(Hook):
    """Lets a backend compute the logits of a test run.

    It replaces the model after other hooks have loaded or averaged the weights.

    Args:
        backend, precision, calib: see `mmconvmixer.Predictor`.
    """
    priority = 'LOWEST'

    def __init__(self, backend: str, precision: str, calib: str | None = None) -> None:
        self.options = backend, precision, calib

    def before_test_epoch(self, runner: Runner) -> None:
        """Replace the runner's model by one that asks the backend."""
        self._original = runner.model
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model._config = runner.cfg
        runner.model = BackendClassifier(model, *self.options,
                                         runner.test_dataloader.batch_size or 1)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Put the runner's own model back."""
        runner.model = self._original

"""A classifier whose logits come from a backend, for `tools/test.py`."""
from copy import copy

from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import Tensor

from mmconvmixer.deploy.for_predictor import logits_function


class BackendClassifier(BaseModel):
    """Answers as the classifier does; what lies between picture and logits runs elsewhere.

    Args:
        model: a classifier with its weights and its config (`_config`).
        backend, precision, calib: see `mmconvmixer.Predictor`.
    """

    def __init__(self, model: BaseModel, backend: str, precision: str, calib: str | None = None):
        super().__init__(data_preprocessor=model.data_preprocessor)
        self._head = copy(model.head)
        # `predict` turns what `forward` says of the features into answers.
        self._head.forward = lambda logits: logits
        self._run = logits_function(model.eval(), backend, precision, calib)

    def forward(self, inputs: Tensor, data_samples: list[DataSample] | None = None,
                mode: str = 'tensor') -> Tensor | list[DataSample]:
        """Return logits (N, classes), or with mode='predict' samples with their scores."""
        logits = self._run(inputs)
        return logits if mode == 'tensor' else self._head.predict(logits, data_samples)

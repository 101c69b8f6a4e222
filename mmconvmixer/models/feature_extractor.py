"""A backbone with pooling and without a head: one feature vector for each image."""
from typing import Any, NoReturn

from mmpretrain.models import ImageClassifier
from torch import Tensor

from mmconvmixer.errors import BadConfig


class FeatureExtractor(ImageClassifier):
    """A classifier without a head, for fine-tuning and retrieval.

    It loads a classifier's weights, without those of the head. All of its parameters
    can be trained: put it in front of a layer of your own.

    Its arguments are those of mmpretrain's `ImageClassifier`, except that `head` has to
    be None and `neck` is required: it pools feature maps into vectors. If the backbone
    has several `out_indices`, the last one is returned.

    Raises:
        BadConfig: a head is given, or no neck.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: None = None,
                 pretrained: str | None = None,
                 train_cfg: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        if head is not None:
            raise BadConfig('a FeatureExtractor has no head; for one, use ImageClassifier')
        if neck is None:
            raise BadConfig("a FeatureExtractor needs a neck that pools, such as "
                            "dict(type='GlobalAveragePooling')")
        super().__init__(backbone, neck, None, pretrained, train_cfg, data_preprocessor,
                         init_cfg)
        self.register_load_state_dict_pre_hook(_leave_out_the_head)

    def forward(self, inputs: Tensor, data_samples: list | None = None,
                mode: str = 'tensor') -> Tensor:
        """Return pooled features (N, embed_dims) for images (N, C, H, W), normalized.

        Raises:
            BadConfig: `mode` is 'loss' or 'predict', which need a head.
        """
        if mode != 'tensor':
            self._refuse(mode)
        return self.extract_feat(inputs)[-1]

    def loss(self, inputs: Tensor, data_samples: list) -> None:
        """Raise BadConfig: there is no head."""
        self._refuse('loss')

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> None:
        """Raise BadConfig: there is no head."""
        self._refuse('predict')

    def _refuse(self, mode: str) -> NoReturn:
        raise BadConfig(f'a feature extractor has no head, which mode {mode!r} needs; use the '
                        "classifier's config for training and testing")


def _leave_out_the_head(module: Any, state_dict: dict, prefix: str, *_: Any) -> None:
    for key in [key for key in state_dict if key.startswith(f'{prefix}head.')]:
        del state_dict[key]

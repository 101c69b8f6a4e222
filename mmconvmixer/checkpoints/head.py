"""Check that a classifier's head takes what its backbone and neck give."""
import torch
from torch import Tensor, nn
from torch.func import functional_call

from mmconvmixer.errors import BadConfig
from mmconvmixer.models import ConvMixer, MlpMixer


def check_head(model: nn.Module) -> None:
    """Refuse a classifier whose head can't take the features of its ConvMixer or MLP-Mixer.

    The neck's result is computed in shape only, which takes no memory.

    Raises:
        BadConfig: the head takes another number of features, or a vector where there is
            no neck to make one, or the neck does not fit the backbone.
    """
    backbone, neck, head = (getattr(model, part, None) for part in ('backbone', 'neck', 'head'))
    expected = getattr(head, 'in_channels', None)
    if not isinstance(backbone, ConvMixer | MlpMixer) or not isinstance(expected, int):
        return
    features = _features_of(backbone)
    if neck is not None:
        try:
            features = _on_meta(neck, (features,) * len(backbone.out_indices))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise BadConfig(f'the neck {type(neck).__name__} does not take the '
                            f'{_sizes(features)} features of the backbone: {error}') from error
    # Other heads may pool on their own.
    if features.dim() != 2 and isinstance(getattr(head, 'fc', None), nn.Linear):
        raise BadConfig(f'the head takes a vector for each image, but gets {_sizes(features)} '
                        "features; use a neck that pools them, dict(type='GlobalAveragePooling'"
                        f'{", dim=1" if features.dim() == 3 else ""})')
    given = features.shape[1]
    if given != expected and given == 1:  # pooled over the wrong dimensions
        raise BadConfig(f'head.in_channels is {expected}, but the neck {type(neck).__name__} '
                        f'leaves 1 of {_sizes(_features_of(backbone))} features; after an '
                        "MLP-Mixer, it is dict(type='GlobalAveragePooling', dim=1)")
    if given != expected:
        raise BadConfig(f'head.in_channels is {expected}, but the head gets {given} features for '
                        f'each image; set head.in_channels={given}')


def _features_of(backbone: ConvMixer | MlpMixer) -> Tensor:
    """Return what a block of the backbone gives for two images, without numbers."""
    if isinstance(backbone, ConvMixer):
        shape = [backbone.embed_dims, 2, 2]
    elif backbone.out_type == 'raw':
        height, width = backbone.patch_resolution
        shape = [backbone.embed_dims, height * width]
    else:
        shape = [backbone.embed_dims, *backbone.patch_resolution]
    return torch.empty(2, *shape, device='meta')


def _on_meta(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    with torch.no_grad():
        outputs = functional_call(
            module, {name: value.to('meta') for name, value in tensors.items()}, (inputs,))
    return outputs if isinstance(outputs, Tensor) else outputs[-1]


def _sizes(features: Tensor) -> str:
    return ' x '.join(map(str, features.shape[1:]))

"""Check that weights fit a network, and load them."""
import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmconvmixer._support.building import building
from mmconvmixer.checkpoints.layouts.lookalikes import lookalike
from mmconvmixer.checkpoints.numerics import check_act, use_numerics
from mmconvmixer.errors import BadConfig, CheckpointMismatch, one_line
from mmconvmixer.ops.token_grid import resampled


def load_weights(model: nn.Module, state_dict: Mapping[str, Tensor], source: str,
                 strict: bool = True) -> None:
    """Copy `state_dict` into `model`.

    Args:
        model: the network, or a wrapper of it (DistributedDataParallel, test-time
            augmentation).
        state_dict: its weights. If they come from `state_dict_of` and need another library's
            numerics, the model is changed to use them (`checkpoints.numerics`).
        source: name of the checkpoint, for messages.
        strict: False loads what fits and logs a warning about the rest.

    Raises:
        CheckpointMismatch: with `strict`, if keys or shapes differ or weights are
            integers; then nothing is loaded.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    numerics, act, act_is_known, origin = (
        getattr(state_dict, name, None) for name in ('numerics', 'act', 'act_is_known', 'origin'))
    # Before shapes are compared: weights for another grid of patches fit once resampled.
    state_dict = resampled(model, state_dict)
    found = _differences(model, state_dict)
    report = '; '.join(found.values())
    if report and strict:
        if other := lookalike(state_dict):
            raise CheckpointMismatch(f'{source} is {other}')
        raise CheckpointMismatch(
            f'{source} does not fit the network: {report}. '
            f'{origin or "Use the config or name that the weights were made with"}',
            # With anything missing, a part of the network would stay random.
            loads_in_part=found.keys() == {'unexpected'})
    if report:
        print_log(one_line(f'{source} fits only in part: {report}'), 'current', logging.WARNING)
        own = model.state_dict()
        state_dict = {key: value for key, value in state_dict.items()
                      if key not in own
                      or (own[key].shape == value.shape
                          and not _would_store_integers_as_floats(value, own[key]))}
    model.load_state_dict(dict(state_dict), strict=False)
    use_numerics(model, numerics, source)
    check_act(model, act, bool(act_is_known), source)


def build_model(model_cfg: dict) -> nn.Module:
    """Build the network that a config's `model` describes.

    Raises:
        BadConfig: it names a class or an option that does not exist.
        UnknownArch, ValueError: raised by the backbone.
    """
    with (config_errors(), building('the model'),
          DefaultScope.overwrite_default_scope('mmpretrain')):
        return MODELS.build(copy.deepcopy(model_cfg))


@contextmanager
def config_errors() -> Iterator[None]:
    """Turn a registry's error about an unknown name or option into BadConfig."""
    try:
        yield
    except (KeyError, TypeError) as error:
        reason = str(error)
        if not any(part in reason for part in (
                'unexpected keyword argument', 'is not in the', 'cannot inherit from base')):
            raise
        raise BadConfig(f'the model cannot be built: {reason}') from error


def _differences(model: nn.Module, state_dict: Mapping[str, Tensor]) -> dict[str, str]:
    """Describe which weights do not fit, by kind of difference; empty if all fit."""
    parts, tensors = {}, model.state_dict()
    integers = [f'{key} {value.dtype} where the network has {tensors[key].dtype}'
             for key, value in state_dict.items()
             if key in tensors and _would_store_integers_as_floats(value, tensors[key])]
    if integers:
        parts['integers'] = f'{len(integers)} with integer values ({_some(integers)})'
    own = {key: value.shape for key, value in tensors.items()}
    if own == {key: value.shape for key, value in state_dict.items()}:
        return parts
    # Only loading shows what fits, as modules may rename, reshape or add weights in
    # their hooks. Load into a copy on the meta device, which takes no memory.
    trial = copy.deepcopy(model).to('meta')
    shapes = []
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='.*copying from a non-meta parameter')
            missing, unexpected = trial.load_state_dict(dict(state_dict), strict=False)
    except RuntimeError:
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        shapes = [f'{key} {tuple(value.shape)} where the network has {tuple(own[key])}'
                  for key, value in state_dict.items()
                  if key in own and own[key] != value.shape]
        if not shapes:
            raise
    if shapes:
        parts['shapes'] = f'{len(shapes)} with another shape ({_some(shapes)})'
    if missing:
        parts['missing'] = f'{len(missing)} missing ({_some(missing)})'
    if unexpected:
        parts['unexpected'] = f'{len(unexpected)} not in the network ({_some(unexpected)})'
    return parts


def _would_store_integers_as_floats(value: Tensor, own: Tensor) -> bool:
    """Whether integers would be copied into floating-point weights, which torch allows."""
    return own.is_floating_point() and not value.is_floating_point()


def _some(items: list[str], count: int = 4) -> str:
    rest = f', and {len(items) - count} more' if len(items) > count else ''
    return ', '.join(items[:count]) + rest

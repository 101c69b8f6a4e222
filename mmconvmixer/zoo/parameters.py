"""The keys that the dicts of a config may have: the arguments of what is built from them."""
import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mmengine.config import Config

# The registries of the classes in a part of a config, by the end of its first key.
_REGISTRIES = {
    'model': ('MODELS', 'BATCH_AUGMENTS'), 'data_preprocessor': ('MODELS', 'BATCH_AUGMENTS'),
    '_dataloader': ('DATASETS', 'TRANSFORMS', 'DATA_SAMPLERS'), '_pipeline': ('TRANSFORMS',),
    '_evaluator': ('METRICS', 'EVALUATORS'), '_hooks': ('HOOKS',), '_cfg': ('LOOPS',),
    'optim_wrapper': ('OPTIM_WRAPPERS', 'OPTIMIZERS', 'OPTIM_WRAPPER_CONSTRUCTORS'),
    'param_scheduler': ('PARAM_SCHEDULERS',), 'visualizer': ('VISUALIZERS', 'VISBACKENDS'),
    'log_processor': ('LOG_PROCESSORS',)}
# What mmengine takes out of a dict before it builds the class. Mixed precision (`amp`) changes the
# class of the optimizer wrapper later, to one with more arguments.
_ALWAYS = {'type'}
_TAKEN_OUT = {'param_scheduler': {'convert_to_iter_based'},
              'optim_wrapper': {'constructor', 'paramwise_cfg', 'optimizer', 'dtype', 'loss_scale',
                                'use_fsdp'}}
# Sections whose keys are read one by one.
_SECTIONS = {
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'optim_wrapper.paramwise_cfg': {
        'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult',
        'flat_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate', 'layer_decay_rate'},
}
# The constructors that read no other key of `paramwise_cfg`.
KNOWN_CONSTRUCTORS = (None, 'DefaultOptimWrapperConstructor',
                      'LearningRateDecayOptimWrapperConstructor', 'MuonOptimWrapperConstructor')
_HOOKS = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint',
          'visualization'}


def parameters_of(prefix: str, node: Mapping | Config, cfg: Config) -> set[str] | None:
    """Return the keys that something reads of a dict in a config, None if that is not known.

    Args:
        prefix: dotted key of the dict.
        node: the dict.
        cfg: the config.
    """
    first, _, rest = prefix.partition('.')
    if first == 'optim_wrapper' and cfg.optim_wrapper.get('constructor') not in KNOWN_CONSTRUCTORS:
        return None
    if prefix in _SECTIONS:
        return _SECTIONS[prefix]
    if not rest:
        if first.endswith('_dataloader'):
            return _loader_keys()
        if first == 'default_hooks':  # a new name needs a type
            return _HOOKS | {name for name, hook in node.items()
                             if not isinstance(hook, Mapping) or 'type' in hook}
        if first == 'randomness':
            return {'seed', 'diff_rank_seed', 'deterministic'}
    kind = node.get('type', _default_type(prefix, node))
    if kind is None:
        return None
    found: set[str] = set()
    classes = _classes(first, kind)
    for cls in classes:
        names = _arguments(cls)
        if names is None:
            return None
        found |= names
    taken_out = _TAKEN_OUT.get(first if not rest or rest.isdigit() else '', set())
    return found | _ALWAYS | taken_out | ({'by_epoch'} if first == 'train_cfg' else set()) \
        if classes else None


def _arguments(cls: Any) -> set[str] | None:
    """Return the names of a constructor's arguments, None if it takes any."""
    parameters = inspect.signature(cls.__init__ if inspect.isclass(cls) else cls).parameters
    if any(each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL) for each in parameters.values()):
        return None
    return set(parameters) - {'self'}


def _loader_keys() -> set[str] | None:
    from torch.utils.data import DataLoader
    names = _arguments(DataLoader)
    return names and names | {'num_batch_per_epoch', 'disable_subprocess_warning'}


def _default_type(prefix: str, node: Mapping | Config) -> str | None:
    if prefix == 'train_cfg' and 'by_epoch' in node:
        return 'EpochBasedTrainLoop' if node['by_epoch'] else 'IterBasedTrainLoop'
    return dict(val_cfg='ValLoop', test_cfg='TestLoop', optim_wrapper='OptimWrapper',
                log_processor='LogProcessor', data_preprocessor='ClsDataPreprocessor',
                ).get(prefix.removeprefix('model.'))


def _classes(first: str, kind: Any) -> list[Any]:
    """Return the classes that a `type` may name in a part of a config."""
    if not isinstance(kind, str):
        return [kind] if callable(kind) else []
    import mmpretrain.registry as host
    names = next((names for end, names in _REGISTRIES.items() if first.endswith(end)), ())
    found = []
    for name in names:
        with suppress(Exception):  # a lookup may import what the name says
            found.append(getattr(host, name).get(kind))
    return [cls for cls in found if cls is not None]

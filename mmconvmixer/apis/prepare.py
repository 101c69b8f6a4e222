"""The steps that `train` and `evaluate` share, from a config to the parts of a `Runner`.

The network and the datasets are built once, before the run makes its folder: a
user's error then leaves no files behind. This also checks that the weights fit; the
`Runner` loads them for the run.
"""
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dist import sync_random_seed
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed

from mmconvmixer._support.building import building
from mmconvmixer.checkpoints import build_model, load_weights
from mmconvmixer.checkpoints.head import check_head
from mmconvmixer.checkpoints.new_head import with_own_head
from mmconvmixer.config.values import check_values
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.image_shape import check_image_shape
from mmconvmixer.engine import start_process_group
from mmconvmixer.engine.hooks.freeze_hook import frozen_parameters
from mmconvmixer.engine.hooks.random_state_hook import random_state
from mmconvmixer.engine.prepared import Prepared, Start
from mmconvmixer.zoo.config import config_path, load_config, require, run_name


def open_config(config: str | Path, overrides: dict | None, work_dir: str | None,
                *sections: str) -> Config:
    """Load a config and settle the folder and the name of its run.

    Args:
        config: path of a config, or a model name.
        overrides: dotted config keys and their values.
        work_dir: the run's folder. Default: the config's, else work_dirs/<name of the config>.
        sections: keys that the config must have.

    Raises:
        BadConfig, UnknownModel: see `load_config`, `require` and `check_values`.
    """
    cfg = load_config(config, overrides)
    require(cfg, *sections)
    check_values(cfg)
    name = config_path(config).stem
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{name}'
    cfg.setdefault('experiment_name', run_name(name))
    return cfg


def join_processes(cfg: Config, launcher: str) -> None:
    """Join the process group of a run that several processes share."""
    cfg.launcher = launcher
    start_process_group(launcher, cfg.get('env_cfg', {}).get('dist_cfg', {}))


def prepare(cfg: Config, loaders: Sequence[str], start: Start | None, verbose: bool) -> Prepared:
    """Build the network and the datasets of a run.

    Args:
        cfg: config of the run, with all changes made.
        loaders: keys of the data loaders whose datasets are built; missing ones are skipped.
        start: the checkpoint to begin with; with `strict`, it is checked here that its
            weights fit.
        verbose: see `Prepared`.

    Raises:
        CheckpointMismatch: the checkpoint does not fit the network.
        MMConvMixerError: see `build_model`, `check_head`, `frozen_parameters`, `build_dataset`
            and `check_image_shape`.
    """
    randomness = dict(cfg.get('randomness') or {})
    if randomness.get('seed') is None and start is not None and start.resume:
        # Samplers and loaders are built from the seed before mmengine restores it.
        meta = start.content.get('meta')
        randomness['seed'] = meta.get('seed') if isinstance(meta, dict) else None
    if randomness.get('seed') is None:
        randomness['seed'] = sync_random_seed()
    with building('randomness'):
        set_random_seed(**randomness)
    model_cfg = cfg.model.copy()
    if cfg.get('data_preprocessor') is not None:  # as mmengine's Runner does
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = build_model(model_cfg)
    check_head(model)
    state = random_state()
    if 'train_dataloader' in loaders:  # evaluation freezes nothing
        frozen_parameters(model, cfg.get('freeze'))
    if start is not None and start.strict:
        load_weights(model, with_own_head(model, start.weights) if start.new_head
                     else start.weights, start.path)
    datasets = {}
    for name in filter(cfg.get, loaders):
        with building(f'{name}.dataset'), DefaultScope.overwrite_default_scope('mmpretrain'):
            datasets[name] = build_dataset(cfg[name].dataset)
            if _collates_as_is(cfg[name]):
                check_image_shape(model, datasets[name], name)
    return Prepared(model, randomness, state, start, datasets, verbose)


def _collates_as_is(loader: ConfigDict) -> bool:
    """Return whether a loader makes a batch of its images without a function of the user's."""
    collate = loader.get('collate_fn')
    return collate is None or collate.get('type') in ('default_collate', 'pseudo_collate')

"""Train a model: what `tools/train.py` runs."""
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import nn

from mmconvmixer._support.atomic_write import check_writable, remove_leftovers
from mmconvmixer.checkpoints import (
    build_model,
    latest_checkpoint,
    load_weights,
    read_checkpoint,
    state_dict_of,
)
from mmconvmixer.checkpoints.new_head import with_own_head
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.config.image_folders import class_names, find_parts, use_for_training
from mmconvmixer.datasets import build_ahead, check_folders
from mmconvmixer.engine import Runner, start_process_group
from mmconvmixer.engine.cpu import flush_denormals, keep_freed_memory
from mmconvmixer.engine.hooks.freeze_hook import frozen_parameters
from mmconvmixer.engine.optim.amp import check_dtype
from mmconvmixer.engine.optim.sam import check_radius
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo import resolve_checkpoint
from mmconvmixer.zoo.config import config_path, load_config, require, run_name


def train(config: str | Path,
          *,
          data: str | None = None,
          work_dir: str | None = None,
          resume: str | bool = False,
          overrides: dict | None = None,
          amp: bool = False,
          validate: bool = True,
          auto_scale_lr: bool = False,
          pin_memory: bool = True,
          persistent_workers: bool = True,
          strict: bool = True,
          launcher: str = 'none') -> nn.Module:
    """Train the model of a config and return it.

    Everything a user can get wrong is checked before the run makes its folder.

    Args:
        config: path of a config, or a model name.
        data: folder of images, one folder a class, to train on instead of the config's
            data: see `mmconvmixer.config.image_folders`.
        work_dir: for logs and checkpoints. Default: work_dirs/<name of config>.
        resume: True goes on from the newest complete checkpoint in `work_dir`
            (from the start if there is none), a path from that one.
        overrides: dotted config keys and their values.
        amp: mixed precision: float16 on a GPU, bfloat16 on a CPU.
        validate: False leaves out the evaluations between epochs.
        auto_scale_lr: scale the learning rate by batch size over the config's
            `auto_scale_lr.base_batch_size`.
        pin_memory, persistent_workers: of the data loaders.
        strict: False lets `load_from` and network differ.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        MMConvMixerError: see `mmconvmixer.errors`.
    """
    if get_device() == 'cpu':
        flush_denormals()
    cfg = load_config(config, overrides)
    require(cfg, 'model', 'train_dataloader', 'optim_wrapper', 'train_cfg')
    name = config_path(config).stem
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{name}'
    cfg.setdefault('experiment_name', run_name(name))
    check_writable(cfg.work_dir)
    folder = find_parts(data) if data else None
    if folder:
        use_for_training(cfg, folder)
    if not validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    datasets = [cfg[loader].dataset for loader in ('train_dataloader', 'val_dataloader')
                if cfg.get(loader)]
    for dataset in datasets:
        check_folders(dataset)
    _check_optim_wrapper(cfg.optim_wrapper, amp)
    if auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise BadConfig(f'--auto-scale-lr was given, but {cfg.filename} does not say for '
                            'which batch size its learning rate is: set '
                            'auto_scale_lr.base_batch_size')
        cfg.auto_scale_lr.enable = True
    cfg.launcher = launcher
    start_process_group(launcher, cfg.get('env_cfg', {}).get('dist_cfg', {}))

    cfg.strict_load = strict
    model = build_model(cfg.model)
    frozen_parameters(model, cfg.get('freeze'))
    new_head = _choose_start(cfg, resume, model, folder.classes if folder else None)
    fill_in(cfg, ['train_dataloader', 'val_dataloader', 'test_dataloader'], pin_memory,
            persistent_workers)
    build_ahead(*datasets)
    if is_main_process():
        if folder:
            print_log(str(folder))
        remove_leftovers(cfg.work_dir)
    if get_device() == 'cpu':
        keep_freed_memory()
    runner = Runner.from_cfg(cfg)
    runner.new_head = new_head
    return runner.train()


def _check_optim_wrapper(options: ConfigDict, amp: bool) -> None:
    """Put in the wrapper that `amp` asks for, and see that this machine can use it."""
    name = options.get('type', 'OptimWrapper')
    name = name.rpartition('.')[2] if isinstance(name, str) else name.__name__
    with_sam = name in ('SAMOptimWrapper', 'AmpSAMOptimWrapper')
    if amp:
        name = options.type = 'AmpSAMOptimWrapper' if with_sam else 'AmpOptimWrapper'
        options.setdefault('loss_scale', 'dynamic')
    if name in ('AmpOptimWrapper', 'AmpSAMOptimWrapper'):
        check_dtype(options.get('dtype'))
    if with_sam:
        check_radius(options.get('rho', 0.), options.get('eta', 0.))


def _choose_start(cfg, resume: str | Path | bool, model: nn.Module,
                  classes: Sequence[str] | None) -> bool:
    """Settle `load_from` and `resume`, and see that the weights fit `model`.

    Args:
        classes: names of the user's own, with `--data`; None for the config's.

    Returns:
        Whether the head starts anew: where the config says `new_head`, and for own
        classes that are not the very ones that the weights are for.
    """
    if resume is True or (cfg.get('resume') and not cfg.get('load_from')):
        newest = latest_checkpoint(cfg.work_dir)
        if newest is None and is_main_process():
            print_log(f'nothing to resume in {cfg.work_dir}: training from the start')
        resume = newest or False
        cfg.resume = False
    if resume:
        cfg.load_from = resume
    if not cfg.get('load_from'):
        cfg.load_from = None
        cfg.resume = False
        return False
    path = resolve_checkpoint(cfg.load_from)
    checkpoint = read_checkpoint(path)
    cfg.load_from = str(path)
    cfg.resume = bool(resume) or cfg.get('resume', False)
    new_head = not cfg.resume and bool(cfg.get('new_head', (
        classes is not None and class_names(checkpoint) != tuple(classes))))
    if cfg.strict_load:
        weights = state_dict_of(checkpoint, str(path))
        load_weights(model, with_own_head(model, weights) if new_head else weights, str(path))
    if cfg.resume:
        meta = checkpoint['meta'] if isinstance(checkpoint.get('meta'), dict) else {}
        if 'epoch' not in meta or not {'message_hub', 'optimizer'} <= checkpoint.keys():
            raise BadConfig(f'{path} has weights but no training state to resume from; to start '
                            'from its weights, use --cfg-options load_from=PATH')
        # Samplers and loaders are built from the seed before mmengine restores it.
        randomness = cfg.setdefault('randomness', {})
        if randomness.get('seed') is None:
            randomness['seed'] = meta.get('seed')
    return new_head

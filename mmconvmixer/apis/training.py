"""Train a model; `tools/train.py` calls this."""
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import all_gather_object, is_main_process
from mmengine.logging import print_log
from torch import nn

from mmconvmixer._support.atomic_write import check_writable, remove_leftovers
from mmconvmixer._support.lock import claimed
from mmconvmixer.apis.prepare import join_processes, open_config, prepare
from mmconvmixer.checkpoints import read_checkpoint, read_latest
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.config.image_folders import class_names, find_parts, use_for_training
from mmconvmixer.config.precision import without_missing_bfloat16
from mmconvmixer.config.types import check_types
from mmconvmixer.datasets import check_folders
from mmconvmixer.datasets.same_classes import other_classes
from mmconvmixer.engine import Runner
from mmconvmixer.engine.agree import by_first_process, in_every_process
from mmconvmixer.engine.cpu import flush_denormals, keep_freed_memory
from mmconvmixer.engine.optim.amp import check_dtype
from mmconvmixer.engine.optim.sam import check_radius
from mmconvmixer.engine.prepared import Start
from mmconvmixer.engine.resources import exhaustion_named
from mmconvmixer.errors import BadCheckpoint, BadConfig, CheckpointNotFound
from mmconvmixer.zoo import resolve_checkpoint
from mmconvmixer.zoo.overrides import check_runner


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
          launcher: str = 'none',
          verbose: bool = False) -> nn.Module:
    """Train the model of a config and return it.

    Everything a user can get wrong is checked before the run makes its folder.

    Args:
        config: path of a config, or a model name.
        data: folder of images, one folder per class, that replaces the config's data; see
            `mmconvmixer.config.image_folders`.
        work_dir: folder for logs and checkpoints. Default: work_dirs/<name of the config>.
        resume: True resumes from the newest complete checkpoint of the run in `work_dir`,
            and trains from the start if there is none; a path resumes from that checkpoint.
        overrides: dotted config keys and their values.
        amp: mixed precision: float16 on a GPU, bfloat16 on a CPU that is faster in it.
        validate: False skips the evaluations between epochs.
        auto_scale_lr: scale the learning rate by the ratio of the actual total batch size
            to the config's `auto_scale_lr.base_batch_size`.
        pin_memory: let the data loaders pin memory.
        persistent_workers: keep the data loaders' processes from epoch to epoch.
        strict: False allows the checkpoint and the network to differ.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        verbose: print the environment, config and hooks, which are in the log file in any case.

    Raises:
        MMConvMixerError: see `mmconvmixer.errors`.
    """
    if get_device() == 'cpu':
        flush_denormals()
    cfg = open_config(config, overrides, work_dir, 'model', 'train_dataloader', 'optim_wrapper',
                      'train_cfg')
    check_runner(cfg)
    check_writable(cfg.work_dir)
    folder = find_parts(data) if data else None
    if folder:
        use_for_training(cfg, folder)
    if not validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    check_types(cfg, 'train_cfg', 'optim_wrapper', 'param_scheduler', 'val_cfg', 'val_evaluator')
    loaders = [name for name in ('train_dataloader', 'val_dataloader') if cfg.get(name)]
    for name in loaders:
        check_folders(cfg[name].dataset)
    _check_optim_wrapper(cfg.optim_wrapper, amp)
    without_missing_bfloat16(cfg, 'val_cfg')
    if auto_scale_lr or (cfg.get('auto_scale_lr') or {}).get('enable'):
        _scale_learning_rate(cfg)
    join_processes(cfg, launcher)

    with ExitStack() as stack, exhaustion_named():
        by_first_process(lambda: stack.enter_context(claimed(Path(cfg.work_dir))))
        start = _find_start(cfg, resume, strict, folder.classes if folder else None)
        fill_in(cfg, [*loaders, 'test_dataloader'], pin_memory, persistent_workers)
        prepared = prepare(cfg, loaders, start, verbose)
        if start is not None and start.resume:
            _check_has_training_state(start)
        if is_main_process():
            if folder:
                print_log(str(folder))
            remove_leftovers(cfg.work_dir)
        if get_device() == 'cpu':
            keep_freed_memory()
        runner = Runner.from_cfg(cfg, prepared)
        _compare_classes(runner, prepared.datasets)
        return runner.train()


def _compare_classes(runner: Runner, datasets: Mapping[str, Any]) -> None:
    """Warn if the validation set has other classes: its labels would be compared by number."""
    trained = (getattr(datasets['train_dataloader'], 'metainfo', None) or {}).get('classes')
    if 'val_dataloader' in datasets and trained:
        strange = other_classes(trained, None, datasets['val_dataloader'],
                                ('the training set', 'the validation set'))
        if strange:
            runner.logger.warning('The classes of the validation set are not those of the '
                                  f'training set: {strange}. The metrics compare labels of '
                                  'different meaning.')


def _scale_learning_rate(cfg: Config) -> None:
    size = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if not isinstance(size, int) or size < 1:
        raise BadConfig(f'auto_scale_lr (--auto-scale-lr) was given, but {cfg.filename} does not '
                        'say which batch size its learning rate is for: set '
                        'auto_scale_lr.base_batch_size to a positive whole number')
    cfg.auto_scale_lr.enable = True


def _check_optim_wrapper(options: ConfigDict, amp: bool) -> None:
    """Select the wrapper that `amp` asks for, and check that this machine can use it."""
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


def _find_start(cfg: Config, resume: str | Path | bool, strict: bool,
                classes: Sequence[str] | None) -> Start | None:
    """Read the checkpoint that training begins with, if there is one.

    Args:
        cfg: config of the run, with the keys `resume`, `load_from` and `new_head`.
        resume: see `train`; it takes precedence over the config's.
        strict: False allows the checkpoint and the network to differ.
        classes: class names of the user's images (`data`); None for the config's classes.
            The head is initialized again if the checkpoint is for other classes.

    Raises:
        BadCheckpoint, CheckpointNotFound: it cannot be read.
    """
    load_from, resumes, latest = cfg.get('load_from'), bool(resume or cfg.get('resume')), None
    if resume is True or (resumes and not resume and not load_from):
        latest = _read_latest_of_first_process(cfg.work_dir)
        resumes = latest is not None
        if latest is None and is_main_process():
            print_log(f'nothing to resume in {cfg.work_dir}: training from the start')
    elif resume:
        load_from = resume
    if latest is None:
        if load_from is None or load_from is False:  # but not '', an empty variable
            return None
        latest = in_every_process(lambda: _read(load_from))
    start = Start.of(*latest, strict=strict, resume=resumes)
    if not resumes:
        start.new_head = bool(cfg.get('new_head', (
            classes is not None and class_names(start.content) != tuple(classes))))
    return start


def _read(name: str | Path) -> tuple[Path, dict]:
    path = resolve_checkpoint(name)
    return path, read_checkpoint(path)


def _read_latest_of_first_process(work_dir: str) -> tuple[Path, dict] | None:
    """Return the checkpoint that the first process finds; see `read_latest`.

    The work dir of other processes may be on another machine: those that do not have this
    checkpoint get it from the first process.
    """
    latest = read_latest(work_dir) if is_main_process() else None
    chosen = by_first_process(lambda: latest and (str(latest[0]), _identity(latest[1])))
    if chosen is None:
        return None
    path, identity = chosen
    if latest is None:
        with suppress(BadCheckpoint, CheckpointNotFound):
            own = read_checkpoint(path)
            latest = (Path(path), own) if _identity(own) == identity else None
    if not all(all_gather_object(latest is not None)):
        if is_main_process():
            print_log(f'resumes from {path}, which this process sends to those that lack it')
        latest = by_first_process(lambda: latest)
    return latest


def _identity(checkpoint: dict) -> list:
    """Return what differs between two checkpoints of one name."""
    meta = checkpoint.get('meta')
    return [meta.get(key) for key in ('run', 'seed', 'epoch', 'iter', 'time')] if isinstance(
        meta, dict) else []


def _check_has_training_state(start: Start) -> None:
    meta = start.content.get('meta')
    if (not isinstance(meta, dict) or 'epoch' not in meta
            or not {'message_hub', 'optimizer'} <= start.content.keys()):
        raise BadConfig(f'{start.path} has weights but no training state to resume from; to start '
                        'from its weights, set load_from=PATH (with --cfg-options)')

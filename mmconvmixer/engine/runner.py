"""mmengine's Runner, with the changes that this project needs."""
import copy
import inspect
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator as MMEngineEvaluator
from mmengine.hooks import Hook, SyncBuffersHook
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel, is_model_wrapper, revert_sync_batchnorm
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop
from mmengine.runner import Runner as MMEngineRunner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints import load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.new_head import describe_head, with_own_head
from mmconvmixer.engine.building import BuildingRunner
from mmconvmixer.engine.data_loaders import build_data_loader
from mmconvmixer.engine.evaluator import Evaluator
from mmconvmixer.engine.histories import only_own_statistics
from mmconvmixer.engine.hooks.freeze_hook import FreezeHook, freeze_parameters
from mmconvmixer.engine.hooks.fresh_workers_hook import FreshWorkersHook
from mmconvmixer.engine.hooks.progress_hook import ProgressHook
from mmconvmixer.engine.hooks.random_state_hook import RandomStateHook, set_random_state
from mmconvmixer.engine.hooks.record_hook import RecordHook
from mmconvmixer.engine.hooks.resume_hook import ResumeHook
from mmconvmixer.engine.hooks.schedule_hook import ScheduleHook
from mmconvmixer.engine.hooks.stop_hook import StopHook
from mmconvmixer.engine.hooks.unreadable_hook import UnreadableHook
from mmconvmixer.engine.launch import start_process_group
from mmconvmixer.engine.loops import with_own_loop
from mmconvmixer.engine.merged_views import merge_into_one_prediction
from mmconvmixer.engine.optim.fused_step import fuse_steps
from mmconvmixer.engine.prepared import Prepared, Start
from mmconvmixer.engine.quiet_console import leave_blocks_to_file
from mmconvmixer.engine.start_up import FormattedOnce, LazyVisualizer
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo import resolve_checkpoint


class Runner(BuildingRunner):
    """Train and test from an mmpretrain config.

    Beyond mmengine's runner, it works in several processes without GPUs, reads
    checkpoints safely, compares them with the network and writes them atomically,
    resumes exactly, skips corrupt images, and reports progress by the clock.

    It knows two more config keys: `on_unreadable` ('skip', the default, or
    'raise') and `freeze` (see `engine.hooks.freeze_hook`).

    Args:
        prepared: what was built and read before; the default builds and reads
            what the config says.

    All other arguments are mmengine's.
    """

    def __init__(self, *args: Any, prepared: Prepared | None = None, **kwargs: Any) -> None:
        self._prepared = prepared
        if isinstance(kwargs.get('cfg'), Config):
            kwargs['cfg'] = FormattedOnce.of(kwargs['cfg'])
        super().__init__(*args, **kwargs)

    @classmethod
    def from_cfg(cls, cfg: Config, prepared: Prepared | None = None) -> 'Runner':
        """Return the runner of a config.

        Args:
            cfg: it is copied.
            prepared: takes the place of the config's `model`, `load_from`, `resume`,
                `randomness` and of the datasets of its data loaders.
        """
        if prepared is None:
            return super().from_cfg(cfg)
        cfg = copy.deepcopy(cfg)
        options = {name: cfg[name] for name in inspect.signature(MMEngineRunner).parameters
                   if cfg.get(name) is not None}
        for name, dataset in prepared.datasets.items():
            options[name] = {**options[name], 'dataset': dataset}
        start = prepared.start
        # The config that mmengine writes into the work dir records how the run began: readers
        # of logs, and backends that write them, look there for whether it resumed.
        cfg.load_from, cfg.resume = start and start.path, start is not None and start.resume
        if start is not None and start.new_head:  # or readers would take load_from for its weights
            cfg.new_head = True
        return cls(**{**options, 'model': prepared.model, 'randomness': prepared.randomness,
                      'cfg': cfg, 'prepared': prepared, 'load_from': cfg.load_from,
                      'resume': cfg.resume})

    @property
    def _only_tests(self) -> bool:
        return self._prepared is not None and 'train_dataloader' not in self._prepared.datasets

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; what is in its file need not all be printed."""
        logger = super().build_logger(*args, **kwargs)
        if self._prepared is not None and not self._prepared.verbose:
            leave_blocks_to_file(logger)
        return logger

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        """Build the visualizer; mmpretrain's is replaced by one that starts faster."""
        if isinstance(visualizer, dict) and visualizer.get('type') == 'UniversalVisualizer':
            visualizer = {**visualizer, 'type': LazyVisualizer}
        return super().build_visualizer(visualizer)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model, or take the one that was built before.

        The random generators are in the same state afterwards in either case: a seed
        gives the same run.
        """
        if self._prepared is not None:
            set_random_state(self._prepared.random_state)
        built = super().build_model(model)
        merge_into_one_prediction(built)
        return built

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment; start the process group also without GPUs."""
        start_process_group(self.launcher, env_cfg.get('dist_cfg', {}))
        super().setup_env(env_cfg)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False,
                       deterministic: bool = False) -> None:
        """Seed the random generators."""
        if deterministic:  # otherwise cuBLAS raises an error
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        super().set_randomness(seed, diff_rank_seed, deterministic)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Move the model to its device; freeze layers and wrap it for several processes."""
        # Freezing comes first: DDP would wait for gradients of frozen parameters. Tests
        # need none, and the names in a model for test-time augmentation are not the config's.
        if not (is_model_wrapper(model) or self._only_tests):
            freeze_parameters(model, self.cfg.get('freeze'))
        if model_wrapper_cfg and not self.distributed:
            self.logger.warning('model_wrapper_cfg is for several processes, and this run is one')
        on_cpu_group = self.distributed and not torch.cuda.is_available()
        if is_model_wrapper(model) or not on_cpu_group:
            return super().wrap_model(model_wrapper_cfg, model)
        options = dict(model_wrapper_cfg or {})
        kind = options.pop('type', 'MMDistributedDataParallel')
        if kind not in ('MMDistributedDataParallel', MMDistributedDataParallel):
            raise BadConfig(f'model_wrapper_cfg.type is {kind}, which needs GPUs; processes '
                            'without them take MMDistributedDataParallel')
        # SyncBatchNorm has no CPU kernel, and device_ids is only for GPUs.
        return MMDistributedDataParallel(revert_sync_batchnorm(model), **{
            'broadcast_buffers': False,
            'find_unused_parameters': self.cfg.get('find_unused_parameters', False), **options})

    def dump_config(self) -> None:
        """Write the config into the work dir; a test keeps the one of the run that trained."""
        trained_with = Path(self.work_dir, Path(self.cfg.filename or 'config.py').name)
        if not self._only_tests or not trained_with.exists():
            super().dump_config()
        elif is_main_process():
            self.cfg.dump(Path(self.log_dir, trained_with.name))

    def register_hooks(self, default_hooks: dict | None = None,
                       custom_hooks: list[Hook | dict] | None = None) -> None:
        """Register mmengine's hooks and this project's."""
        super().register_hooks(default_hooks, custom_hooks)
        self._random_state_hook, self._stop_hook = RandomStateHook(), StopHook()
        # SyncBuffersHook: each process has its own BatchNorm statistics, but only one
        # checkpoint is saved. Without this hook, the other processes would validate
        # networks that differ from the checkpoint.
        record = RecordHook()
        for hook in (self._random_state_hook, SyncBuffersHook(), UnreadableHook(),
                     ProgressHook(), record, ResumeHook(record), FreshWorkersHook(),
                     ScheduleHook(), self._stop_hook):
            self.register_hook(hook)
        if self.cfg.get('freeze'):
            self.register_hook(FreezeHook())

    def train(self) -> nn.Module:
        """Train, and stop after an iteration on SIGINT or SIGTERM; see `StopHook`."""
        with self._stop_hook.listening():
            return super().train()

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop, which can resume inside an epoch."""
        return super().build_train_loop(with_own_loop(loop) if isinstance(loop, dict) else loop)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict,
                            ) -> OptimWrapper | OptimWrapperDict:
        """Build the optimizer, which updates parameters on a CPU in one pass."""
        built = super().build_optim_wrapper(optim_wrapper)
        if built is not optim_wrapper:
            fuse_steps(built)
        return built

    def build_dataloader(self, dataloader: DataLoader | dict, seed: int | None = None,
                         diff_rank_seed: bool = False) -> DataLoader:
        """Build a loader whose samples are seeded one by one and skip corrupt images.

        Args:
            dataloader: a loader or its config; `dataset` in it may be built already.
            seed: see mmengine's method.
            diff_rank_seed: see mmengine's method.
        """
        if isinstance(dataloader, DataLoader):
            return dataloader
        return build_data_loader(dataloader, self.seed, self.cfg.get('on_unreadable', 'skip'),
                                 seed, diff_rank_seed)

    def build_evaluator(self, evaluator: dict | list | MMEngineEvaluator) -> MMEngineEvaluator:
        """Build an evaluator that leaves out unreadable images."""
        if isinstance(evaluator, list) or (isinstance(evaluator, dict)
                                           and 'metrics' not in evaluator):
            return Evaluator(evaluator)
        return super().build_evaluator(evaluator)

    def _maybe_compile(self, target: str) -> None:
        """Compile the backbone if the config has `compile=True` or a dict of options.

        mmengine compiles all of `train_step`, but augmentation, lists of samples and the
        optimizer wrapper are not suited to a compiler.
        """
        options = self.cfg.get('compile')
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if not options:
            return
        if not hasattr(model, 'backbone'):
            super()._maybe_compile(target)
            return
        model.backbone.compile(**({} if options is True else options))
        self.logger.info('The backbone is compiled in the first iterations, which take longer.')

    def load_checkpoint(self, filename: str, map_location: str = 'cpu',
                        strict: bool | None = None, revise_keys: list | None = None) -> dict:
        """Load weights that fit the model, and return what the checkpoint file holds.

        Args:
            filename: path or URL.
            map_location: device for the tensors of a file that was not read before.
            strict: False allows weights and network to differ; None follows `Start`.
            revise_keys: ignored; prefixes of wrappers are always removed.

        Raises:
            CheckpointMismatch: strict, and the weights do not fit.
            BadCheckpoint: see `read_checkpoint`.
            CheckpointNotFound: see `read_checkpoint`.
        """
        start = self._start(str(filename), map_location)
        checkpoint, weights = start.content, start.weights
        # mmengine's `resume` would execute this text (of mmengine 0.1 and mmcv) as a config.
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        if start.new_head:
            own = with_own_head(self.model, weights)
            self.logger.info(f'The head is initialized for {describe_head(own)}; the one in '
                             f'{filename} ({describe_head(weights)}) is not loaded.')
            weights = own
        # mmengine's hooks expect the weights under this key, and EMAHook replaces them
        # when a run is resumed.
        checkpoint['state_dict'] = weights
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        if checkpoint['state_dict'] is not weights:
            numerics, weights = weights.numerics, state_dict_of(
                dict(state_dict=checkpoint['state_dict']), str(filename))
            weights.numerics = numerics
        load_weights(self.model, weights, str(filename),
                     start.strict if strict is None else strict)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def _start(self, path: str, map_location: str) -> Start:
        """Return the checkpoint of this file: the one that was read before, or else read it."""
        prepared = self._prepared
        if prepared is None or prepared.start is None or prepared.start.path != path:
            local = str(resolve_checkpoint(path))
            return Start.of(local, read_checkpoint(local, map_location))
        start, prepared.start = prepared.start, None  # free its memory once it is loaded
        return start

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint atomically; all ranks must call this."""
        # mmengine's own method runs on rank 0 only.
        self._random_state_hook.gather(self)
        if not is_main_process():
            return
        if not Path(out_dir).is_dir():  # a remote store, which cannot rename
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_write(Path(out_dir, filename)) as part, only_own_statistics():
            super().save_checkpoint(out_dir, part.name, *args, **kwargs)

"""mmengine's Runner where it does what we need, mended where it does not."""
import os
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator as MMEngineEvaluator
from mmengine.hooks import SyncBuffersHook
from mmengine.model import MMDistributedDataParallel, is_model_wrapper, revert_sync_batchnorm
from mmengine.runner import Runner as MMEngineRunner
from torch import nn
from torch.utils.data import DataLoader

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints import fetch, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.download.http import is_url
from mmconvmixer.checkpoints.new_head import describe_head, with_own_head
from mmconvmixer.datasets import SeedEachSample, SkipUnreadable, StampedSampler
from mmconvmixer.datasets.wrappers.in_memory import identity_collate, is_in_memory
from mmconvmixer.engine.evaluator import Evaluator
from mmconvmixer.engine.hooks.freeze_hook import FreezeHook, freeze_parameters
from mmconvmixer.engine.hooks.progress_hook import ProgressHook
from mmconvmixer.engine.hooks.random_state_hook import RandomStateHook
from mmconvmixer.engine.hooks.record_hook import RecordHook
from mmconvmixer.engine.hooks.unreadable_hook import UnreadableHook
from mmconvmixer.engine.launch import start_process_group


class Runner(MMEngineRunner):
    """Train and test from an mmpretrain config.

    Beyond mmengine's: processes without GPUs, checkpoints that are read safely,
    checked against the network and written whole, exact resumption, datasets
    with corrupt images, progress by the clock.

    Three more config keys: `strict_load` (default True), `on_unreadable`
    ('skip', the default, or 'raise') and `freeze` (see `engine.hooks.freeze_hook`).

    Attributes:
        new_head: set before `train`, leaves the head out of the weights that
            training begins with: those of another task.
    """

    new_head = False

    def setup_env(self, env_cfg: dict) -> None:
        start_process_group(self.launcher, env_cfg.get('dist_cfg', {}))
        super().setup_env(env_cfg)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False,
                       deterministic: bool = False) -> None:
        if deterministic:  # else cuBLAS refuses to work
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        super().set_randomness(seed, diff_rank_seed, deterministic)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        if not is_model_wrapper(model):  # which would wait for the gradients of all
            freeze_parameters(model, self.cfg.get('freeze'))
        on_cpu_group = self.distributed and not torch.cuda.is_available()
        if is_model_wrapper(model) or not on_cpu_group:
            return super().wrap_model(model_wrapper_cfg, model)
        # SyncBatchNorm has no CPU kernel, and device_ids must be left out.
        return MMDistributedDataParallel(
            revert_sync_batchnorm(model), broadcast_buffers=False,
            find_unused_parameters=self.cfg.get('find_unused_parameters', False))

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        super().register_hooks(default_hooks, custom_hooks)
        self._random_state_hook = RandomStateHook()
        # SyncBuffersHook: each process has its own BatchNorm statistics, but one
        # checkpoint is saved; without it, validation judges other nets than that.
        for hook in (self._random_state_hook, SyncBuffersHook(), UnreadableHook(),
                     ProgressHook(), RecordHook()):
            self.register_hook(hook)
        if self.cfg.get('freeze'):
            self.register_hook(FreezeHook())

    def build_dataloader(self, dataloader: DataLoader | dict, seed: int | None = None,
                         diff_rank_seed: bool = False) -> DataLoader:
        if isinstance(dataloader, DataLoader):
            return dataloader
        if is_in_memory(dataloader['dataset']):
            changes = dict(collate_fn=dict(type=identity_collate))
        else:
            readable = dict(type=SkipUnreadable, dataset=dataloader['dataset'],
                            on_unreadable=self.cfg.get('on_unreadable', 'skip'))
            changes = dict(
                dataset=dict(type=SeedEachSample, dataset=readable, seed=self.seed),
                sampler=dict(type=StampedSampler, sampler=dataloader['sampler']))
        loader = MMEngineRunner.build_dataloader({**dataloader, **changes}, seed, diff_rank_seed)
        # Its own, or every new iterator draws a number from the run's generator,
        # and how many iterators there are depends on the number of workers.
        loader.generator = torch.Generator().manual_seed(self.seed)
        return loader

    def build_evaluator(self, evaluator: dict | list | MMEngineEvaluator) -> MMEngineEvaluator:
        if isinstance(evaluator, list) or (isinstance(evaluator, dict)
                                           and 'metrics' not in evaluator):
            return Evaluator(evaluator)
        return super().build_evaluator(evaluator)

    def _maybe_compile(self, target: str) -> None:
        """Compile the backbone where the config has `compile=True` or options in a dict.

        mmengine's compiles all of `train_step`, of which augmentation, samples in
        lists and the optimizer wrapper are not for a compiler.
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
        path = fetch(filename) if is_url(str(filename)) else filename
        checkpoint = read_checkpoint(path, map_location)
        # mmengine's `resume` would run this text (of mmengine 0.1 and mmcv) as a config.
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        weights = state_dict_of(checkpoint, str(filename))
        if self.new_head:
            own = with_own_head(self.model, weights)
            self.logger.info(f'The head starts anew, for {describe_head(own)}: that of {filename} '
                             f'({describe_head(weights)}) is left out.')
            weights = own
        # mmengine's hooks know these names only, and one of them (EMAHook)
        # exchanges the weights of a run that is resumed.
        checkpoint['state_dict'] = weights
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        if checkpoint['state_dict'] is not weights:
            numerics, weights = weights.numerics, state_dict_of(
                dict(state_dict=checkpoint['state_dict']), str(filename))
            weights.numerics = numerics
        load_weights(self.model, weights, str(filename),
                     self.cfg.get('strict_load', True) if strict is None else strict)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        # All ranks are here (mmengine's own method runs on rank 0 alone).
        self._random_state_hook.gather()
        if not is_main_process():
            return
        if not Path(out_dir).is_dir():  # a remote store, which has no rename
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_write(Path(out_dir, filename)) as part:
            super().save_checkpoint(out_dir, part.name, *args, **kwargs)

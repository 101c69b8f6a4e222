"""mmengine's Runner where it does what we need, mended where it does not."""
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator as MMEngineEvaluator
from mmengine.model import MMDistributedDataParallel, is_model_wrapper, revert_sync_batchnorm
from mmengine.registry import DATASETS
from mmengine.runner import Runner as MMEngineRunner
from torch import nn
from torch.utils.data import DataLoader

from mmconvmixer.checkpoints import fetch, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.fetch import is_url
from mmconvmixer.datasets import SeedEachSample, SkipUnreadable
from mmconvmixer.engine.evaluator import Evaluator
from mmconvmixer.engine.launch import start_process_group
from mmconvmixer.engine.progress_hook import ProgressHook
from mmconvmixer.engine.random_state_hook import RandomStateHook
from mmconvmixer.engine.unreadable_hook import UnreadableHook
from mmconvmixer.errors import DatasetNotFound, EmptyDataset
from mmconvmixer.files import written_whole


class Runner(MMEngineRunner):
    """Train and test from an mmpretrain config.

    Beyond mmengine's: processes without GPUs, checkpoints that are read safely,
    checked against the network and written whole, exact resumption, datasets
    with corrupt pictures, progress by the clock.

    Two more config keys: `strict_load` (default True) and `on_unreadable`
    ('skip', the default, or 'raise').
    """

    def setup_env(self, env_cfg: dict) -> None:
        start_process_group(self.launcher, env_cfg.get('dist_cfg', {}))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
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
        for hook in (self._random_state_hook, UnreadableHook(), ProgressHook()):
            self.register_hook(hook)

    def build_dataloader(self, dataloader: DataLoader | dict, seed: int | None = None,
                         diff_rank_seed: bool = False) -> DataLoader:
        if isinstance(dataloader, dict) and isinstance(dataloader['dataset'], dict):
            dataset = SkipUnreadable(build_dataset(dataloader['dataset']),
                                     self.cfg.get('on_unreadable', 'skip'))
            # A loop by iterations has no epochs to tell one pass from the next.
            if (self.cfg.get('train_cfg') or {}).get('by_epoch', True):
                dataset = SeedEachSample(dataset, self.seed)
            dataloader = {**dataloader, 'dataset': dataset}
        return MMEngineRunner.build_dataloader(dataloader, seed, diff_rank_seed)

    def build_evaluator(self, evaluator: dict | list | MMEngineEvaluator) -> MMEngineEvaluator:
        if isinstance(evaluator, list) or (isinstance(evaluator, dict)
                                           and 'metrics' not in evaluator):
            return Evaluator(evaluator)
        return super().build_evaluator(evaluator)

    def load_checkpoint(self, filename: str, map_location: str = 'cpu',
                        strict: bool | None = None, revise_keys: list | None = None) -> dict:
        path = fetch(filename) if is_url(str(filename)) else filename
        checkpoint = read_checkpoint(path, map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        load_weights(self.model, state_dict_of(checkpoint, str(filename)), str(filename),
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
        with written_whole(Path(out_dir, filename)) as part:
            super().save_checkpoint(out_dir, part.name, *args, **kwargs)


def build_dataset(dataset_cfg: dict):
    """Build a dataset; a missing or empty folder is named as such.

    Raises:
        DatasetNotFound: a file or folder that the config names is not there.
        EmptyDataset: there is nothing in it.
    """
    where = dataset_cfg.get('data_root') or dataset_cfg.get('data_prefix') or ''
    try:
        dataset = DATASETS.build(dataset_cfg)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except FileNotFoundError as error:
        raise DatasetNotFound(f'{dataset_cfg.get("type")} in {where!r}: {error.filename} is not '
                              'there; put or link the data there, or set dataset.data_root '
                              'of the dataloader with --cfg-options') from error
    except RuntimeError as error:
        if 'Found 0 files' not in str(error):
            raise
        raise EmptyDataset(f'{dataset_cfg.get("type")} in {where!r} has no pictures: {error}'
                           ) from error
    if len(dataset) == 0:
        raise EmptyDataset(f'{dataset_cfg.get("type")} in {where!r} has no pictures')
    return dataset

"""Defaults for the data loaders of a run."""
import torch
from mmengine.config import Config

from mmconvmixer.datasets.wrappers.in_memory import is_in_memory


def fill_in(cfg: Config, names: list[str], pin_memory: bool = True,
            persistent_workers: bool | None = None) -> None:
    """Set the keys that data loader configs leave open, in place.

    Args:
        cfg: the config of a run.
        names: keys of its data loaders; missing ones are skipped.
        pin_memory: False never pins memory; without a GPU it is never pinned either.
        persistent_workers: False starts new loader processes every epoch; None leaves
            the choice to the config.
    """
    for name in names:
        loader = cfg.get(name)
        if loader is None:
            continue
        if is_in_memory(loader.dataset):
            loader.dataset.setdefault('on_unreadable', cfg.get('on_unreadable', 'skip'))
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', True)
        loader.pin_memory = loader.pin_memory and pin_memory and torch.cuda.is_available()
        if persistent_workers is not None:
            loader.setdefault('persistent_workers', True)
            loader.persistent_workers = (loader.persistent_workers and persistent_workers
                                         and loader.get('num_workers', 0) > 0)

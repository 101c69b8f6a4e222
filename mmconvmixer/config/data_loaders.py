"""What every data loader of a run gets when its config leaves it open."""
import torch

from mmconvmixer.datasets.wrappers.in_memory import is_in_memory


def fill_in(cfg, names: list[str], pin_memory: bool = True,
            persistent_workers: bool | None = None) -> None:
    """Complete data loader configs in place.

    Args:
        cfg: the config of a run.
        names: keys of its data loaders; missing ones are passed over.
        pin_memory: if False, memory is never pinned (nor is it without a GPU).
        persistent_workers: if False, loader processes never outlive an epoch;
            None leaves it to the config.
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

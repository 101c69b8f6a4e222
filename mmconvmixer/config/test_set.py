"""Changes to a config's test set and to how its images are evaluated."""
from copy import deepcopy

from mmengine.config import Config, ConfigDict

from mmconvmixer.datasets.parts_of_config import innermost, only_pipeline
from mmconvmixer.datasets.wrappers.in_memory import is_in_memory
from mmconvmixer.errors import BadConfig


def data_root_override(cfg: Config, data: str) -> dict[str, str]:
    """Return the config change that makes `data` the folder of the test set.

    Raises:
        BadConfig: the test set is not read from a folder.
    """
    key, dataset = 'test_dataloader.dataset', cfg.test_dataloader.dataset
    while 'dataset' in dataset:  # wrappers
        key, dataset = f'{key}.dataset', dataset.dataset
    if 'data_root' not in dataset:
        raise BadConfig(f'data (--data) is {data}, but the test set of {cfg.filename} '
                        f'({dataset.type}) is not read from a folder; leave it out')
    return {f'{key}.data_root': data}


def show_predictions(cfg: Config, show: bool, show_dir: str | None, interval: int,
                     wait_time: float) -> None:
    """Let the run draw its predictions; see `ShowHook` for the arguments."""
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    hooks.visualization = dict(type='ShowHook', enable=True, show=show,
                               out_dir=show_dir, interval=interval, wait_time=wait_time)


def augment_at_test_time(cfg: Config) -> None:
    """Average over what `tta_pipeline` makes of an image: by default, it and its mirror image."""
    if 'tta_model' not in cfg:
        cfg.tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
    # Memory keeps one version of an image, and here are several.
    owner = cfg.test_dataloader
    while is_in_memory(owner.dataset):
        owner.dataset = owner.dataset.dataset
    if 'tta_pipeline' not in cfg:
        *transforms, pack = only_pipeline(owner.dataset, 'the test set')
        flips = [dict(type='RandomFlip', prob=1.), dict(type='RandomFlip', prob=0.)]
        cfg.tta_pipeline = [*deepcopy(transforms),
                            dict(type='TestTimeAug', transforms=[flips, [pack]])]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for part in innermost(owner.dataset):
        part.pipeline = cfg.tta_pipeline

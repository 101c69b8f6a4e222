"""Load a config by its path or by the name of a model."""
import os
import time
import warnings
from pathlib import Path
from uuid import uuid4

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from mmconvmixer.errors import BadConfig, UnknownModel, nearest
from mmconvmixer.zoo.arch_keys import check_arch_keys
from mmconvmixer.zoo.hub import all_names, look_up
from mmconvmixer.zoo.index import names
from mmconvmixer.zoo.list_keys import check_list_keys
from mmconvmixer.zoo.overrides import check_overrides


def load_config(config: str | Path, overrides: dict | None = None) -> Config:
    """Return the config of a file or of a model.

    Args:
        config: path of a `.py` config, or the name of a model here or in mmpretrain.
        overrides: values by dotted key, as from `--cfg-options`.

    Raises:
        BadConfig: the file does not exist or can't be parsed, or nothing reads an override.
        UnknownModel: there is no model of this name.
    """
    path = config_path(config)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
            cfg = Config.fromfile(path)
    except ModuleNotFoundError as error:
        if error.name == 'pkg_resources':
            raise BadConfig('mmengine needs pkg_resources, which setuptools 82 dropped; '
                            "pip install 'setuptools<82'") from error
        raise BadConfig(f'{path} imports {error.name}, which is not installed') from error
    except Exception as error:  # a config is a program: it may raise anything
        raise BadConfig(f'{path} is not a config that mmengine can read: '
                        f'{type(error).__name__}: {error}') from error
    if overrides:
        _override(cfg, overrides)
    return cfg


def _override(cfg: Config, overrides: dict) -> None:
    before = dict(cfg.items())
    replaced = {key.removesuffix('._delete_') for key, value in overrides.items()
                if value and key.endswith('._delete_')}
    for key, value in overrides.items():
        check_list_keys(cfg, key, value, replaced)
    check_arch_keys(cfg, overrides)
    try:
        cfg.merge_from_dict(overrides)
        if any(key.split('.')[0] == 'custom_imports' for key in overrides):
            import_modules_from_strings(**cfg.custom_imports)
    except Exception as error:
        given = ', '.join(f'{key}={value}' for key, value in overrides.items())
        raise BadConfig(f'{given} (--cfg-options) does not fit {cfg.filename}: '
                        f'{type(error).__name__}: {error}') from error
    check_overrides(cfg, overrides, before)


def config_path(config: str | Path) -> Path:
    """Return the config file of a path or model name.

    Raises:
        BadConfig, UnknownModel: see `load_config`.
    """
    path = Path(config)
    if os.path.isfile(path):  # Path.is_file fails for names that are too long
        return path
    if path.suffix == '.py':
        raise BadConfig(f'config {path} is not there; give the path of a .py config or the '
                        f'name of a model: {", ".join(names())}')
    entry = look_up(str(config))
    if entry is None or entry.config is None:
        raise UnknownModel(f'{config} is neither a file nor a model; nearest: '
                           f'{nearest(str(config), all_names())}. list_models() names '
                           'them all')
    return Path(entry.config)


def require(cfg: Config, *sections: str) -> None:
    """Raise BadConfig unless the config has all of these sections."""
    for section in sections:
        if cfg.get(section) is None:
            raise BadConfig(f'{cfg.filename} has no {section}; see configs/ for complete configs')


def run_name(config_name: str) -> str:
    """Return a name for a run that is unique within this process.

    mmengine looks up logs and histories by this name, process-wide, and its own names
    only differ by the second in which a run started.
    """
    return f'{config_name}_{time.strftime("%Y%m%d_%H%M%S")}_{uuid4().hex[:6]}'

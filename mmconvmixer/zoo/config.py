"""Reading a config: from a file, or by the name of a model."""
import time
import warnings
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmengine.config import Config

from mmconvmixer import zoo
from mmconvmixer.errors import BadConfig, UnknownModel, nearest


def load_config(config: str | Path, overrides: dict | None = None) -> Config:
    """Return the config of a file or of a zoo model.

    Args:
        config: path of a `.py` config, or a name in this zoo or mmpretrain's.
        overrides: dotted keys and values, what `--cfg-options` gives.

    Raises:
        BadConfig: no such file, or not to be parsed.
        UnknownModel: no such name.
    """
    path = config_path(config)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
            cfg = Config.fromfile(path)
        if overrides:
            cfg.merge_from_dict(overrides)
    except ModuleNotFoundError as error:
        if error.name == 'pkg_resources':
            raise BadConfig('mmengine needs pkg_resources, which setuptools 82 dropped; '
                            "pip install 'setuptools<82'") from error
        raise BadConfig(f'{path} imports {error.name}, which is not installed') from error
    except Exception as error:  # a config is a program: it may raise anything
        raise BadConfig(f'{path} is no config that mmengine can read: '
                        f'{type(error).__name__}: {error}') from error
    return cfg


def config_path(config: str | Path) -> Path:
    """Return the file of a config path or model name."""
    path = Path(config)
    if path.is_file():
        return path
    if path.suffix == '.py':
        raise BadConfig(f'config {path} is not there; give the path of a .py config, or one of '
                        f'the models: {", ".join(zoo.names())}')
    entry = zoo.look_up(str(config))
    if entry is None or entry.config is None:
        raise UnknownModel(f'{config} is neither a file nor a model; nearest: '
                           f'{nearest(str(config), zoo.all_names())}. list_models() '
                           'names them all')
    return Path(entry.config)


def portable(path: str | Path) -> str:
    """Return a path as other machines know it.

    Below the folder that holds configs/ for this package's own files, the last
    part of other absolute ones, relative ones as they are.
    """
    for root in (zoo.package_root().resolve(), zoo.PACKAGE.parent):
        if Path(path).resolve().is_relative_to(root):
            return Path(path).resolve().relative_to(root).as_posix()
    return Path(path).name if Path(path).is_absolute() else str(path)


def portable_text(cfg: Config) -> str:
    """Return a config's text without what belongs to one machine or one run."""
    kept = {key: value for key, value in cfg.to_dict().items()
            if key not in ('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name')}
    return Config(_portable_values(kept)).pretty_text


def _portable_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _portable_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_portable_values, value))
    return portable(value) if isinstance(value, str) and Path(value).is_absolute() else value


def require(cfg: Config, *sections: str) -> None:
    """Raise BadConfig unless the config has all these sections."""
    for section in sections:
        if cfg.get(section) is None:
            raise BadConfig(f'{cfg.filename} has no {section}; see configs/ for whole ones')


def run_name(config_name: str) -> str:
    """Return a name for a run that no other run of this process has.

    mmengine's logs and histories are found by it, process-wide, and its own
    names change once a second.
    """
    return f'{config_name}_{time.strftime("%Y%m%d_%H%M%S")}_{uuid4().hex[:6]}'

"""Paths and configs without anything specific to this machine, for records of runs."""
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmconvmixer.zoo import PACKAGE, package_root


def portable(path: str | Path) -> str:
    """Return a path that other machines understand.

    Args:
        path: of one of this package's own files: returned relative to the folder that
            holds configs/. Of another absolute path only the last part is returned.
            Relative paths stay as they are.
    """
    for root in (package_root().resolve(), PACKAGE.parent):
        if Path(path).resolve().is_relative_to(root):
            return Path(path).resolve().relative_to(root).as_posix()
    return Path(path).name if Path(path).is_absolute() else str(path)


def portable_text(cfg: Config) -> str:
    """Return a config's text without the keys and paths of one machine or one run."""
    kept = {key: value for key, value in cfg.to_dict().items()
            if key not in ('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name')}
    return Config(_portable_values(kept)).pretty_text


def _portable_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _portable_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_portable_values, value))
    return portable(value) if isinstance(value, str) and Path(value).is_absolute() else value

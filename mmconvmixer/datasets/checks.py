"""Check that the data exists, before a run creates anything."""
import os
from pathlib import Path

from mmengine.fileio import LocalBackend, get_file_backend

from mmconvmixer.datasets.image_files import printable
from mmconvmixer.errors import DatasetNotFound


def check_folders(dataset_cfg: dict) -> None:
    """Raise unless the folders that a dataset config names exist.

    Args:
        dataset_cfg: config of one dataset, with or without wrappers. Only local `data_root`
            folders are checked, and not those of a dataset with `download=True`.

    Raises:
        DatasetNotFound: a folder does not exist.
    """
    inner = dataset_cfg.get('dataset')
    if isinstance(inner, dict):
        check_folders(inner)
    for each in dataset_cfg.get('datasets', ()):
        check_folders(each)
    if dataset_cfg.get('download'):  # the dataset creates its folder itself
        return
    root = dataset_cfg.get('data_root')
    if not root or not isinstance(get_file_backend(root), LocalBackend):
        return
    prefix = dataset_cfg.get('data_prefix') or ''
    if isinstance(prefix, dict):
        prefix = prefix.get('img_path', '')
    for folder in (Path(root).expanduser(), Path(root).expanduser() / prefix):
        if not os.path.isdir(folder):
            raise DatasetNotFound(
                f'{dataset_cfg.get("type")} expects the folder {printable(folder)}, which does '
                'not exist; put or link the data there, or set dataset.data_root of the dataloader '
                'with --cfg-options')

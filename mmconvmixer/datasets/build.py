"""Build datasets, with an error that names the one that is missing or empty."""
from typing import Any

from mmpretrain.registry import DATASETS

from mmconvmixer.errors import DatasetNotFound, EmptyDataset


def build_dataset(dataset_cfg: dict) -> Any:
    """Build a dataset from mmpretrain's registry and load its annotations.

    Raises:
        DatasetNotFound: a file or folder that the config names does not exist, or its
            folders are not the classes.
        EmptyDataset: the dataset has no images.
    """
    where = f'{dataset_cfg.get("type")} in {dataset_cfg.get("data_root") or "its folder"!r}'
    try:
        dataset = DATASETS.build(dataset_cfg)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except FileNotFoundError as error:
        if isinstance(error, DatasetNotFound):
            raise
        raise DatasetNotFound(f'{where}: {error.filename} does not exist; put or link the '
                              'data there, or set dataset.data_root of the dataloader with '
                              '--cfg-options') from error
    except AssertionError as error:
        if 'number of subfolders' not in str(error):
            raise
        raise DatasetNotFound(f'{where}: {error} To test on images of some classes, name their '
                              'folders for the classes') from error
    except RuntimeError as error:
        if 'Found 0 files' not in str(error):
            raise
        raise EmptyDataset(f'{where} has no images: {error}') from error
    if len(dataset) == 0:
        raise EmptyDataset(f'{where} has no images')
    return dataset

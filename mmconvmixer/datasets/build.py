"""Building datasets so that a missing or empty one is named as such."""
from typing import Any

from mmpretrain.registry import DATASETS

from mmconvmixer.errors import DatasetNotFound, EmptyDataset


def build_dataset(dataset_cfg: dict) -> Any:
    """Build a dataset of mmpretrain's registry and read its annotations.

    Raises:
        DatasetNotFound: a file or folder that the config names is not there.
        EmptyDataset: there is nothing in it.
    """
    where = f'{dataset_cfg.get("type")} in {dataset_cfg.get("data_root") or "its folder"!r}'
    try:
        dataset = DATASETS.build(dataset_cfg)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except FileNotFoundError as error:
        if isinstance(error, DatasetNotFound):
            raise
        raise DatasetNotFound(f'{where}: {error.filename} is not there; put or link the data '
                              'there, or set dataset.data_root of the dataloader with '
                              '--cfg-options') from error
    except RuntimeError as error:
        if 'Found 0 files' not in str(error):
            raise
        raise EmptyDataset(f'{where} has no images: {error}') from error
    if len(dataset) == 0:
        raise EmptyDataset(f'{where} has no images')
    return dataset

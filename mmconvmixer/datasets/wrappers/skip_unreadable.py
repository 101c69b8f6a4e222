"""One corrupt image among many should cost one image, not the run."""
from typing import Any

import mmcv
from mmengine.fileio import get

from mmconvmixer.datasets.wrappers.dataset_wrapper import DatasetWrapper
from mmconvmixer.errors import BadImage, EmptyDataset


class SkipUnreadable(DatasetWrapper):
    """A dataset that hands out the next sample where an image can't be decoded.

    The stand-in's `data_samples` then carries `unreadable`, the paths passed
    over: evaluation leaves it out, and a hook reports the paths at the end.
    Only an image that can't be decoded is passed over; an error of a transform
    stays an error.

    Args:
        dataset: a map-style dataset, or its config, whose samples come from
            `img_path`.
        on_unreadable: 'skip', or 'raise' to stop at the first.

    Raises:
        BadImage: on_unreadable='raise'.
        EmptyDataset: not one image can be decoded.
    """

    def __init__(self, dataset, on_unreadable: str = 'skip'):
        if on_unreadable not in ('skip', 'raise'):
            raise ValueError(f"on_unreadable is {on_unreadable!r}, expected 'skip' or 'raise'")
        super().__init__(dataset)
        self.on_unreadable = on_unreadable

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f'sample {index} of {len(self)}')
        unreadable = []
        for step in range(len(self)):
            try:
                sample = self.dataset[(index + step) % len(self)]
                break
            except Exception as error:
                path = self._path_of((index + step) % len(self))
                if path is None or is_readable(path):
                    raise
                if self.on_unreadable == 'raise':
                    raise BadImage(f'{path} can not be decoded: {error}. Remove or replace '
                                   'it, or leave on_unreadable at skip') from error
                unreadable.append(path)
        else:
            raise EmptyDataset(f'none of {len(self)} images can be decoded, the first: '
                               f'{unreadable[0]}')
        if unreadable:
            views = sample['data_samples']
            for view in views if isinstance(views, list) else [views]:
                view.set_field(tuple(unreadable), 'unreadable', field_type='metainfo')
        return sample

    def _path_of(self, index: int) -> str | None:
        if not hasattr(self.dataset, 'get_data_info'):
            return None
        info = self.dataset.get_data_info(index)
        return None if 'img' in info else info.get('img_path')


def is_readable(path: str) -> bool:
    """Whether the file at `path` (local or remote) decodes to an image."""
    try:
        return mmcv.imfrombytes(get(path)) is not None
    except Exception:  # whatever a decoder or a storage backend throws: no image
        return False

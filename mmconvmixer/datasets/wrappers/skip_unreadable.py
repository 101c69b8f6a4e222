"""Skip corrupt images instead of ending the run."""
from typing import Any

import mmcv
from mmengine.fileio import get

from mmconvmixer._support.resources import raise_if_exhausted
from mmconvmixer.datasets.pixel_limit import check_encoded
from mmconvmixer.datasets.transforms.loading import check_regular
from mmconvmixer.datasets.wrappers.dataset_wrapper import DatasetWrapper
from mmconvmixer.errors import BadImage, EmptyDataset


class SkipUnreadable(DatasetWrapper):
    """A dataset that returns the next sample in place of one whose image can't be decoded.

    The `data_samples` of that stand-in have `unreadable`, the paths that were skipped. The
    evaluator leaves such samples out, and a hook reports the paths at the end. Only images
    that can't be decoded are skipped: an error in a transform is still raised.

    Args:
        dataset: a map-style dataset, or its config, whose samples are read from `img_path`.
        on_unreadable: 'skip', or 'raise' to stop at the first such image.

    Raises:
        BadImage: an image can't be decoded and `on_unreadable` is 'raise'.
        EmptyDataset: no image can be decoded.
        OutOfResources: the system has no file handles or memory to open an image.
        ValueError: `on_unreadable` is neither of the two.
    """

    def __init__(self, dataset: Any, on_unreadable: str = 'skip') -> None:
        if on_unreadable not in ('skip', 'raise'):
            raise ValueError(f"on_unreadable is {on_unreadable!r}, expected 'skip' or 'raise'")
        super().__init__(dataset)
        self.own(on_unreadable=on_unreadable)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f'sample {index} of a dataset of {len(self)}')
        unreadable = []
        for step in range(len(self)):
            try:
                sample = self.wrapped[(index + step) % len(self)]
                break
            except Exception as error:
                raise_if_exhausted(error)
                path = self._path_of((index + step) % len(self))
                if not isinstance(error, BadImage) and (path is None or is_readable(path)):
                    raise
                if self.on_unreadable == 'raise':
                    raise BadImage(f"{path} can't be decoded: {error}. Remove or replace "
                                   "it, or set on_unreadable to 'skip'") from error
                unreadable.append(path)
        else:
            raise EmptyDataset(f'none of {len(self)} images can be decoded, for example '
                               f'{unreadable[0]}; check the files')
        if unreadable:
            views = sample['data_samples']
            for view in views if isinstance(views, list) else [views]:
                view.set_field(tuple(unreadable), 'unreadable', field_type='metainfo')
        return sample

    def _path_of(self, index: int) -> str | None:
        if not hasattr(self.wrapped, 'get_data_info'):
            return None
        info = self.wrapped.get_data_info(index)
        return None if 'img' in info else info.get('img_path')


def is_readable(path: str) -> bool:
    """Return whether the file at `path` (local or remote) can be decoded as an image."""
    try:
        check_regular(path)
        content = get(path)
        check_encoded(content)
        return mmcv.imfrombytes(content) is not None
    except Exception:  # decoders and storage backends may raise anything
        return False

"""tf_flowers: 3,670 photographs of five flowers, under Creative Commons licenses."""
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mmengine.dist import barrier, is_main_process

from mmconvmixer._support.lock import locked
from mmconvmixer.checkpoints.download.fetch import fetch_to, file_name
from mmconvmixer.checkpoints.download.mirror import file_in_mirror, url_in_mirror
from mmconvmixer.datasets.image_folder import ImageFolder
from mmconvmixer.datasets.unpacking import unpack
from mmconvmixer.errors import DatasetNotFound, DownloadError

URL = 'http://download.tensorflow.org/example_images/flower_photos.tgz'
SHA256 = '4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c'  # of 228,813,984 bytes


class Flowers(ImageFolder):
    """tf_flowers, as `<data_root>/{daisy,dandelion,roses,sunflowers,tulips}/*.jpg`.

    The dataset has no published split. 'rest' (3,306 images of the published archive) and
    'held-out' (364) follow the rule in `datasets.split`. They are not the images of TensorFlow
    Datasets' `train[:90%]` and `train[90%:]`, which depend on its own order.

    Args:
        data_root: the folder.
        part: as in `ImageFolder`.
        pipeline: as in `ImageFolder`.
        test_mode: as in `ImageFolder`.
        download: whether to unpack the archive where the folder does not exist or is empty.
            The archive comes from MMCONVMIXER_MIRROR if that has `flower_photos.tgz`, else
            from its original address. Only one of several processes downloads it.

    Raises:
        DatasetNotFound: the folder does not exist or can't be downloaded, lacks one of the
            classes, or has other ones.
        HashMismatch: the archive is not the published one; it is deleted.
        BadArchive: the archive is damaged or unsafe to unpack.
        OutputNotWritable: nothing can be written there.
    """

    METAINFO = dict(classes=('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips'))

    def __init__(self, data_root: str = 'data/flowers', part: str = 'all', pipeline: Sequence = (),
                 test_mode: bool = False, download: bool = False) -> None:
        if download:
            _make_folder(Path(data_root).expanduser())
        super().__init__(data_root, part=part, pipeline=pipeline, test_mode=test_mode)

    def _find_samples(self) -> list[tuple[str, int]]:
        missing = [name for name in self.CLASSES if not Path(self.img_prefix, name).is_dir()]
        if missing:
            raise DatasetNotFound(
                f'{self.img_prefix} should hold the folders {", ".join(self.CLASSES)}, but lacks '
                f'{", ".join(missing)}. Unpack {URL} and give the path of its flower_photos; '
                'download=True does so where the folder does not exist yet')
        return super()._find_samples()


def _make_folder(root: Path) -> None:
    # As in checkpoints.fetch, every process reaches the barrier once.
    if not is_main_process():
        barrier()  # the folder exists now, unless this node has a separate disk
    try:
        _download(root)
    finally:
        if is_main_process():
            barrier()


def _download(root: Path) -> None:
    if _is_there(root):
        return
    missing = [folder for folder in root.absolute().parents if not folder.exists()]
    try:
        with locked(root.with_name(f'.{root.name}.lock'), f'creating {root}'):
            if not _is_there(root):  # another process may have created it meanwhile
                _unpack_archive(root)
    finally:
        with suppress(OSError):  # after a success the folders are not empty and stay
            for folder in missing:
                folder.rmdir()


def _unpack_archive(root: Path) -> None:
    name = file_name(URL)
    download = root.with_name(f'{root.name}.{name}')
    try:
        archive = (file_in_mirror(name, SHA256)
                   or fetch_to(download, [url_in_mirror(name), URL], SHA256))
    except DownloadError as error:
        raise DatasetNotFound(
            f'the folder {root} does not exist, and {error}. Without a network, unpack '
            f'{name} elsewhere and link its flower_photos to {root}, or set '
            'MMCONVMIXER_MIRROR to the folder that holds it') from error
    unpack(archive, root)
    download.unlink(missing_ok=True)  # a mirror's archive stays


def _is_there(root: Path) -> bool:
    return root.is_dir() and any(root.iterdir())

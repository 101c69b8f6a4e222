"""Recognize files and folders of other kinds, to say what they are and how to go on."""
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mmconvmixer.checkpoints.readers.zip_archive import names_in_archive

_NPZ = 'restore it there and save the arrays with numpy.savez, under their flax names'

# How a file begins -> (what it is, what to do).
_BEGINNINGS = {
    b'version https://git-lfs': (
        'a pointer of Git LFS, not the file itself', 'run git lfs pull in its repository'),
    b'\x1f\x8b': (
        'not a PyTorch checkpoint: it is compressed with gzip', 'unpack it first, with gunzip'),
    b'<!DOCTYPE': ('a web page', 'download the file itself'),
    b'<html': ('a web page', 'download the file itself'),
}


def kind_of_file(path: Path) -> str:
    """Return what a file is and what to do, in words that follow its name; '' if unknown."""
    with open(path, 'rb') as file:
        start = file.read(64)
    for beginning, (kind, advice) in _BEGINNINGS.items():
        if start.startswith(beginning):
            return f'{kind}; {advice}'
    if path.suffix == '.distcp':
        return f'a part of a {_DCP}'
    if start[:2] == b'PK':
        return _kind_of_archive(path)
    return ''


def kind_of_folder(path: Path) -> str:
    """Return what a folder is and what to do, in words that follow its name; '' if unknown."""
    try:
        return _kind_of_folder(path)
    except OSError:  # a folder that may not be read
        return ''


def _kind_of_folder(path: Path) -> str:
    if (path / '.metadata').is_file() and any(path.glob('*.distcp')):
        return f'a {_DCP}'
    if any(path.glob('*.index.json')):
        return ('a checkpoint in several parts; load all of them into one state dict and '
                'save it with torch.save')
    if any(path.glob('*.index')) and any(path.glob('*.data-00000-of-*')):
        return ('a TensorFlow checkpoint without its SavedModel; load it in TensorFlow and export '
                'a SavedModel')
    named = next((name for name in ('flax_model.msgpack', 'tf_model.h5')
                  if (path / name).is_file()), '')
    return f'a folder with {named}, which is not read here; {_NPZ}' if named else ''


_DCP = ('checkpoint of torch.distributed.checkpoint; make one file of the folder: '
        'python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER net.pth')


def _kind_of_archive(path: Path) -> str:
    names = names_in_archive(path)
    # torch puts all parts into a folder with the name of the file.
    inside = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in names}
    return next((f'{kind}; {advice}' for is_one, kind, advice in _ARCHIVES
                 if is_one({*names, *inside})), '')


# (whether the names of the parts are those of this kind, what it is, what to do)
_ARCHIVES: list[tuple[Callable[[set[str]], bool], str, str]] = [
    (lambda names: bool({'archive_format', 'serialized_exported_program.json'} & names),
     'a program of torch.export',
     'save its weights with torch.save(torch.export.load(PATH).state_dict, NEW)'),
    (lambda names: 'constants.pkl' in names and any(name.startswith('code/') for name in names),
     'a TorchScript program', 'save its weights with torch.save(torch.jit.load(PATH).state_dict(), '
     'NEW)'),
]

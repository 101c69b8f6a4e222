"""Where an export is written: the path is checked first, and files appear all or none."""
import os
from collections.abc import Collection
from pathlib import Path

from mmconvmixer._support.atomic_write import check_writable
from mmconvmixer.errors import OutputNotWritable

# Folders without a suffix, by the file that marks them.
_KINDS = {'saved_model.pb': 'a SavedModel', 'classifier.json': 'an exported web page'}


def checked_out(out: Path, suffix: str, marker: str = '', beside: str = '',
                contents: Collection[str] = ()) -> Path:
    """Return `out` if a format's file or folder can be written there.

    Args:
        out: the file, or folder.
        suffix: of the format's files or folders; '' for a SavedModel.
        marker: if the format is a folder, a file that every such folder has. Only such a
            folder, or an empty one, is replaced.
        beside: suffix of a second file that the format writes. It is replaced with the
            first one; without it, it belongs to something else.
        contents: if the format is a folder to which people add files of their own, the names
            of all that the format writes. A folder with anything else is not replaced.

    Raises:
        OutputNotWritable: the suffix is wrong, something else is there, or the parent
            folder is not writable.
    """
    if suffix and out.suffix != suffix:
        raise OutputNotWritable(f'{out} does not end in {suffix}, as files of this format do')
    if not marker and out.is_dir():
        raise OutputNotWritable(f'{out} is a folder; give a file ending in {suffix}')
    if marker and out.exists() and not (out / marker).is_file() and (
            not out.is_dir() or any(out.iterdir())):
        kind = f'a folder of the kind {suffix}' if suffix else _KINDS[marker]
        raise OutputNotWritable(f'{out} exists and is not {kind}; give a new folder')
    if contents and out.is_dir():
        other = sorted(path.name for path in out.iterdir() if path.name not in contents)
        if other:
            raise OutputNotWritable(f'{out} holds {", ".join(other[:3])}, too, which would be '
                                    'lost; move that away, or give a new folder')
    second = out.with_suffix(beside) if beside else out
    if second.is_dir() and second != out:
        raise OutputNotWritable(f'{second} would be written, too, but it is a folder; give another '
                                'name or folder')
    if second.exists() and not out.exists():
        raise OutputNotWritable(
            f'{second} would be written, too, but it is there without {out.name}, '
            'so it belongs to something else; give another name or folder')
    check_writable(out.parent)
    return out


def move_into_place(folder: Path, out: Path) -> None:
    """Move everything in `folder` to the folder of `out`, `out` itself last: all or nothing."""
    for path in folder.rglob('*'):
        if path.is_file():
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
    parts = sorted(folder.iterdir(), key=lambda part: part.name == out.name)
    before = folder / 'before'
    before.mkdir()
    moved = []
    try:
        for part in parts:
            target = out.parent / part.name
            if target.exists():
                os.replace(target, before / part.name)
            moved.append(target)
            os.replace(part, target)
    except BaseException:
        for target in moved:
            if target.exists():
                os.replace(target, folder / target.name)
            if (before / target.name).exists():
                os.replace(before / target.name, target)
        raise

"""Writing figures to files."""
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.errors import OutputNotWritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = ('.png', '.svg')


def check_image_paths(paths: Iterable[str | Path]) -> None:
    """Raise OutputNotWritable unless each path ends in one of `SUFFIXES`."""
    for path in paths:
        if Path(path).suffix.lower() not in SUFFIXES:
            raise OutputNotWritable(f'{path}: curves are drawn as {" or ".join(SUFFIXES)}; give '
                                    'a file with such an ending')


def save_figure(figure: 'Figure', path: str | Path) -> None:
    """Write a figure, as what the path's suffix says.

    Raises:
        OutputNotWritable: see `mmconvmixer._support.atomic_write.atomic_write`.
    """
    with atomic_write(path) as part:
        figure.savefig(part)

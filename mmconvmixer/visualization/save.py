"""Write figures to image files, and what the figures have in common."""
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.errors import OutputNotWritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = ('.png', '.svg')
DPI = 150  # of figures with images


def check_image_paths(paths: Iterable[str | Path], what: str = 'figures') -> None:
    """Raise OutputNotWritable unless each path ends in one of `SUFFIXES`.

    Args:
        paths: of the files to write.
        what: what a message calls their content.
    """
    for path in paths:
        if Path(path).suffix.lower() not in SUFFIXES:
            raise OutputNotWritable(f'{path}: {what} are drawn as {" or ".join(SUFFIXES)}; give '
                                    'a file with such a suffix')


def save_figure(figure: 'Figure', paths: Iterable[str | Path]) -> None:
    """Write a figure to files, in the formats of their suffixes.

    Raises:
        OutputNotWritable: a file cannot be written.
    """
    for path in paths:
        with atomic_write(path) as part:
            figure.savefig(part)


def new_figure(width: float, height: float) -> 'Figure':
    """Return a figure of this size in inches whose parts make room for each other."""
    from matplotlib.figure import Figure
    return Figure(figsize=(width, height), dpi=DPI, layout='constrained')


def add_title(figure: 'Figure', text: str) -> None:
    """Give a figure a title, in as many lines as its width asks for."""
    characters = max(10, int(9 * figure.get_figwidth()))
    figure.suptitle(textwrap.fill(text, characters), fontsize=13)


def literal(text: object, most: int = 60) -> str:
    """Return text that matplotlib draws as it is, at most this many characters of it.

    Between two dollar signs matplotlib would expect a formula.
    """
    plain = ' '.join(str(text).split())
    plain = plain if len(plain) <= most else plain[:most - 3].rstrip() + '...'
    return plain.replace('$', r'\$')

"""The errors a user can meet.

Each message says in one line what was given, what was expected and what to do next.
Each class also derives from the built-in exception that a caller would expect, so
that `except ValueError` works.

Names in a message come from files and from users, so they can be of any length and hold
any character. `one_line` bounds them, for all errors at once.
"""
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

# Characters. Paths may have 4096, but those that people type and copy are shorter.
LONGEST_WORD = 500
LONGEST_MESSAGE = 4000
# Unicode's controls, halves of characters (bytes that are not UTF-8), and ends of lines.
_UNPRINTABLE = ('Cc', 'Cs', 'Zl', 'Zp')


def one_line(message: str, word: int = LONGEST_WORD, most: int = LONGEST_MESSAGE) -> str:
    """Return a message in one line that every terminal and log file can print.

    Args:
        message: any text. Characters that are not printable are escaped.
        word: how many characters without a blank are kept; the middle of a longer word is
            left out.
        most: how many characters are kept altogether.
    """
    text = re.sub(rf'\S{{{word + 1},}}', lambda found: _shortened(found[0], word), message)
    # What will be left out anyway is not worth a look at each of its characters.
    text = _shortened(text, 10 * most)
    text = ' '.join(text.split()) if len(text.splitlines()) > 1 else text
    text = ''.join(char.encode('unicode_escape').decode()
                   if unicodedata.category(char) in _UNPRINTABLE else char for char in text)
    return _shortened(text, most)


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f'{text[:2 * most // 3]}[... {len(text)} characters ...]{text[-most // 4:]}'


class MMConvMixerError(Exception):
    """Base class of all errors here. The tools print the message and exit with code 2."""

    def __init__(self, message: str) -> None:
        # torch puts the traceback of a data-loader process into the message, and
        # mmengine puts the class that its registry was building before it.
        if message.startswith('Caught ') and 'Original Traceback' in message:
            message = message.rstrip().rsplit(f'{type(self).__name__}: ', 1)[-1]
        super().__init__(one_line(re.sub(r'^(class `\w+` in \S+: )+', '', message)))


class UnknownModel(MMConvMixerError, ValueError):
    """A model name that is neither in this zoo nor in mmpretrain's."""


class UnknownArch(MMConvMixerError, ValueError):
    """An `arch` that is not the name of a variant, or a dict that lacks a key."""


class BadConfig(MMConvMixerError, ValueError):
    """A config that is missing, can't be parsed or lacks a section, or an option it can't have."""


class CheckpointNotFound(MMConvMixerError, FileNotFoundError):
    """Not a file or the name of a model, or a model without published weights."""


class BadCheckpoint(MMConvMixerError, ValueError):
    """A file that is not a checkpoint, is cut short or damaged, or holds no weights."""


class UnsafeCheckpoint(BadCheckpoint):
    """A file that would run code, fill the memory or write elsewhere when it is loaded."""


class CheckpointMismatch(MMConvMixerError, ValueError):
    """Weights of a different network: keys, shapes or dtypes don't fit.

    Args:
        message: what does not fit.
        loads_in_part: the network would get all its weights from what fits; the message then
            says how to load that.

    Attributes:
        without_option: the message for tools that lack the option to load what fits.
    """

    def __init__(self, message: str, loads_in_part: bool = False) -> None:
        super().__init__(message + (', or load what fits with --no-strict (strict=False)'
                                    if loads_in_part else ''))
        self.without_option = message


class DownloadError(MMConvMixerError, ConnectionError):
    """A download that could not be started or completed."""


class HashMismatch(MMConvMixerError, ValueError):
    """A file whose sha256 is not the one in its name or in the model index."""


class BadImage(MMConvMixerError, ValueError):
    """An image that is missing, empty or can't be decoded."""


class DatasetNotFound(MMConvMixerError, FileNotFoundError):
    """A dataset folder or annotation file that does not exist."""


class EmptyDataset(MMConvMixerError, ValueError):
    """A dataset without any readable image."""


class BadArchive(MMConvMixerError, ValueError):
    """A dataset archive that is damaged, or would write outside of its folder."""


class OutputNotWritable(MMConvMixerError, OSError):
    """An output file or folder that can't be written."""


class InUse(MMConvMixerError, BlockingIOError):
    """A folder to which another run is writing."""


class OutOfResources(MMConvMixerError, RuntimeError):
    """The system has no memory or file handles left for a run."""


class FusedKernelsUnavailable(MMConvMixerError, RuntimeError):
    """The fused kernels were required, but don't run here."""


class UnknownOption(MMConvMixerError, ValueError):
    """A format, backend or precision that does not exist, or not in this combination."""


class MissingPackage(MMConvMixerError, ImportError):
    """An optional package that is not installed."""


class ExportMismatch(MMConvMixerError, ValueError):
    """An exported network whose outputs differ from those of the original."""


class AccuracyDrop(MMConvMixerError, ValueError):
    """An int8 model that loses more accuracy than was allowed."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return the known names most like `name`, comma-separated, for a message."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name[:200].lower(), by_lower, n=count, cutoff=0.3)
    return ', '.join(by_lower[candidate] for candidate in close) or 'none is near'

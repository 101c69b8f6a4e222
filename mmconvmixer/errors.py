"""The errors a user can meet.

Each says what was given, what was expected and what to do next. Each also is
the built-in exception that a caller would expect, so `except ValueError` works.
"""
import re
from collections.abc import Iterable
from difflib import get_close_matches


class MMConvMixerError(Exception):
    """Base of all of them; the tools print it in one line and exit with 2."""

    def __init__(self, message: str):
        # On the way through a loader process torch puts the traceback into the
        # message, on the way through a registry mmengine puts the class before it.
        if message.startswith('Caught ') and 'Original Traceback' in message:
            message = message.rstrip().rsplit(f'{type(self).__name__}: ', 1)[-1]
        super().__init__(re.sub(r'^(class `\w+` in \S+: )+', '', message))


class UnknownModel(MMConvMixerError, ValueError):
    """A name that neither this zoo nor mmpretrain's knows."""


class UnknownArch(MMConvMixerError, ValueError):
    """An `arch` that names no variant, or a dict that lacks a key."""


class BadConfig(MMConvMixerError, ValueError):
    """A config file that is missing, can't be parsed or lacks a section."""


class CheckpointNotFound(MMConvMixerError, FileNotFoundError):
    """No file, no zoo name, or no weights published under that name."""


class BadCheckpoint(MMConvMixerError, ValueError):
    """A file that is no checkpoint, is cut short or holds no weights."""


class UnsafeCheckpoint(BadCheckpoint):
    """A pickle that would have to run code to be loaded."""


class CheckpointMismatch(MMConvMixerError, ValueError):
    """Weights of another network: keys or shapes differ."""


class DownloadError(MMConvMixerError, ConnectionError):
    """A URL that can't be reached or broke off."""


class HashMismatch(MMConvMixerError, ValueError):
    """A file that is not the one its name or the model index promises."""


class BadImage(MMConvMixerError, ValueError):
    """An image that is missing, empty or can't be decoded."""


class DatasetNotFound(MMConvMixerError, FileNotFoundError):
    """A dataset folder or annotation file that is not there."""


class EmptyDataset(MMConvMixerError, ValueError):
    """A dataset without a single readable image."""


class BadArchive(MMConvMixerError, ValueError):
    """An archive of data that is damaged, or would write outside of its folder."""


class OutputNotWritable(MMConvMixerError, OSError):
    """A file or folder for results that can't be written."""


class FusedKernelsUnavailable(MMConvMixerError, RuntimeError):
    """The fused kernels were insisted on where they don't run."""


class UnknownOption(MMConvMixerError, ValueError):
    """A format, backend or precision that there is not, or not in this combination."""


class MissingPackage(MMConvMixerError, ImportError):
    """An optional package that is not installed."""


class ExportMismatch(MMConvMixerError, ValueError):
    """An exported network whose answers are not those of the original."""


class AccuracyDrop(MMConvMixerError, ValueError):
    """int8 that costs more accuracy than was allowed."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return the known names most like `name`, comma-separated, for a message."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), by_lower, n=count, cutoff=0.3)
    return ', '.join(by_lower[candidate] for candidate in close) or 'none is near'
